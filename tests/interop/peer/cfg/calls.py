# -*- coding: utf-8 -*-
"""The calls that are recorded: what workers and the dashboard ask of each resource, and what they are refused."""
import json
from urllib import quote

RESOURCES = ['group', 'project', 'worker_pool', 'worker', 'job_template', 'job', 'run', 'run_log', 'kill_request']


def uri(resource, id_=None):
    return '/api/v1/%s/' % resource if id_ is None else '/api/v1/%s/%s/' % (resource, id_)


def get(who, path, **headers):
    return who, 'GET', path, dict((key.replace('_', '-'), value) for key, value in headers.items()), None


def send(who, method, path, body, **headers):
    text = body if isinstance(body, str) else json.dumps(body, sort_keys=True)
    return who, method, path, dict((key.replace('_', '-'), value) for key, value in headers.items()), text


def patch(who, path, **fields):
    return send(who, 'PATCH', path, fields)


def post(who, path, **fields):
    return send(who, 'POST', path, fields)


def reading():
    yield get('nobody', '/api/v1/')
    for resource in RESOURCES:
        for who in ('web1', 'db1', 'ops1', 'session'):
            yield get(who, uri(resource))
        for id_ in (1, 2, 4, 99, 'abc'):
            yield get('web1', uri(resource, id_))
        for id_ in (1, 3):
            yield get('session', uri(resource, id_))
        yield get('web1', uri(resource, 'schema'))
        yield get('session', uri(resource, 'schema'))
        yield get('session', uri(resource, 'set/1;2;99'))
        yield get('nobody', uri(resource))
        yield get('nobody', uri(resource, 1))
    yield get('web1', '/api/v1/worker/set/1;77/')
    yield get('web1', '/api/v1/worker/set/1;2/')
    for who in ('junk signature', 'junk scheme', 'unknown'):
        yield get(who, uri('run'))
    yield get('web1', '/api/v1/run/1')
    yield get('web1', '/api/v1/run?state=started')
    yield get('nobody', '/api/v1')
    yield get('web1', '/api/v1/nothing/')


def listing():
    def runs(query, who='web1'):
        return get(who, uri('run') + '?' + query)

    for state in ('scheduled', 'in_queue', 'started', 'completed', 'completed_successful', 'completed_with_error',
                  'last_completed', 'nonsense'):
        yield runs('state=' + state)
        yield runs('project_id=2&state=' + state, 'session')
    for worker in ('web1', 'web2', 'WEB1', 'none', ''):
        yield runs('state=in_queue&worker__api_key=' + worker)
        yield runs('state=started&worker__api_key=' + worker)
    for lookup in ('exact', 'iexact', 'contains', 'icontains', 'startswith', 'istartswith', 'endswith', 'iendswith',
                   'in', 'gt', 'gte', 'lt', 'lte'):
        yield runs('worker__api_key__%s=web1' % lookup)
    yield runs('worker__api_key__in=web1,web2')
    yield runs('worker__api_key__range=web1,web1')
    yield runs('worker__api_key__isnull=true')
    yield runs('worker__api_key__contains=' + quote('_'))
    day, moment = '2026-03-02', quote('2026-03-02 13:05:00')
    for lookup in ('', '__gt', '__gte', '__lt', '__lte', '__exact'):
        yield runs('schedule_dts%s=%s' % (lookup, moment))
    for value in (day, '2026-03-02T12:05:00Z', quote('2026-03-02T12:05:00+00:00'), quote('2026-03-02 13:05'),
                  '2026-03-02T13:05:00.000001', '2026-03-02T12:05:00+00:00', 'yesterday', '2026-13-45', ''):
        yield runs('schedule_dts__gte=' + value)
    yield runs('schedule_dts__range=2026-03-02,2026-03-03')
    yield runs('schedule_dts__isnull=false')
    yield runs('schedule_dts__year=2026')
    for value in ('true', 'false', 'True', '1', '0'):
        yield runs('is_manual=' + value)
    for query in ('job=1', 'job=999', 'job=abc', 'job=1&state=completed&limit=100', 'job__in=1,2', 'job__title=Top',
                  'job__title__exact=Child', 'job__job_template=2', 'job__job_template__title=Bash',
                  'job__job_template__project=2', 'job__job_template__project__title=Site',
                  'job__job_template__project__id=3', 'worker=1', 'worker=2', 'worker__in=1,2', 'worker__isnull=true',
                  'project_id=2', 'project_id=3', 'project_id=abc', 'foo=bar', 'state=started&state=scheduled',
                  'job=1&job=2'):
        yield runs(query)
    for query in ('id=1', 'pid=1', 'enqueue_dts__isnull=true', 'return_success=true', 'schedule_id=1', 'run_log=1',
                  'job__id=1', 'job__enqueue_is_enabled=true', 'job__title__icontains=top', 'job__worker_pool=1',
                  'job__job_template__title__startswith=B', 'job__job_template__project__description=x',
                  'worker__title=Web1', 'worker__id=1', 'resource_uri=x', 'is_manual__foo=1', 'order_by=id',
                  'order_by=-schedule_dts', 'order_by=nothing', 'sort_by=schedule_dts'):
        yield runs(query)
    for query in ('limit=2', 'limit=2&offset=2', 'limit=3&offset=1&state=completed', 'limit=0', 'limit=5000',
                  'limit=1&offset=100', 'offset=3', 'limit=-1', 'limit=x', 'limit=', 'offset=-1', 'offset=x',
                  'limit=2&offset=4&job__title=Top'):
        yield runs(query, 'session')
    for resource, queries in (
            ('group', ('name=Group', 'project_id=1')),
            ('project', ('id=2', 'id=99', 'id=x', 'title=Site', 'title=site', 'title__exact=Site', 'id__in=1,2',
                         'title__contains=S', 'description=x', 'project_id=3')),
            ('worker_pool', ('title=Web', 'title=No', 'title__iexact=web', 'project_id=2', 'project_id=3',
                             'project_id=x', 'id=1', 'workers=1')),
            ('worker', ('api_key=web1', 'api_key=web', 'api_key__startswith=web', 'api_key__in=web1,db1',
                        'project_id=2', 'project_id=3', 'title=Web1', 'id=1')),
            ('job_template', ('project=2', 'project=1', 'project__id=2', 'project__title=Site', 'title=Bash',
                              'project_id=2', 'project_id=3', 'project__description=x', 'title__contains=B', 'body=x')),
            ('job', ('job_template=2', 'job_template__title=Bash', 'job_template__project=2',
                     'job_template__project__title=Site', 'job_template__project__id=3', 'title=Top', 'title=top',
                     'title=' + quote(u'Hourly ✓ café'.encode('utf-8')), 'project_id=2', 'project_id=3', 'parent=1',
                     'worker_pool=1', 'title__startswith=T', 'limit=3&offset=3', 'enqueue_is_enabled=true')),
            ('run_log', ('run=1', 'content=x', 'id=1', 'project_id=2', 'limit=2')),
            ('kill_request', ('run=1', 'enqueue_dts__isnull=true', 'order_by=id', 'project_id=2', 'limit=2'))):
        for query in queries:
            yield get('session', uri(resource) + '?' + query)
    for query in ('format=json', 'format=nonsense', 'format=html', 'callback=show', 'callback=no%28'):
        yield get('web1', uri('run', 1) + '?' + query)
    for accept in ('application/json', 'text/html', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
                   'application/*', 'image/png', '*', 'application/json;q=0.1,text/html', 'nonsense'):
        yield get('web1', uri('run', 1), Accept=accept)
    yield get('web1', uri('run', 99), Accept='text/html')
    yield get('web1', uri('run') + '?limit=x', Accept='text/html')


def methods():
    for resource in RESOURCES:
        for method in ('POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'):
            if method in ('OPTIONS', 'HEAD') or not (resource in ('job', 'run', 'run_log', 'kill_request')
                                                     and method == 'POST'):
                yield 'web1', method, uri(resource), {}, '{}' if method[0] == 'P' else None
        for method in ('POST', 'DELETE', 'OPTIONS'):
            yield 'nobody', method, uri(resource, 1), {}, '{}' if method[0] == 'P' else None
        yield 'web1', 'POST', uri(resource, 'schema'), {}, '{}'
        yield 'web1', 'DELETE', uri(resource, 'set/1;2'), {}, None
    yield 'web1', 'PATCH', uri('run', 13)[:-1], {}, '{"pid": 1}'
    yield 'web1', 'POST', uri('run')[:-1], {}, '{}'


def running():
    """The life of run 13, of job 1, as the original worker lives it."""
    run = uri('run', 13)
    yield get('web1', run)
    yield get('web1', uri('worker'))
    yield patch('web1', run, enqueue_dts='2026-03-02 13:00:00.000001+00:00', worker=uri('worker', 1))
    yield get('web1', run)
    yield patch('web1', run, enqueue_dts='2026-03-02 13:00:00.000001+00:00', worker=uri('worker', 1))
    yield get('web1', uri('run') + '?state=in_queue&worker__api_key=web1')
    yield patch('web2', run, pid=1)
    yield patch('web2', run, return_dts='2026-03-02 13:00:00+00:00', return_success=True)
    yield patch('web1', run, start_dts='2026-03-02 13:00:01.5+00:00')
    yield get('web1', uri('job', 1))
    yield patch('web1', run, pid=31337)
    yield get('web1', run)
    yield get('web1', uri('run') + '?state=started&worker__api_key=web1')
    yield patch('web1', run, worker=None)
    yield patch('web1', run, nonsense=1)
    yield get('web1', run)
    yield post('web1', uri('run_log'), run=run, content=u'hello\ncaf\xe9\n')
    yield get('web1', run)
    yield get('web1', uri('run_log', 10))
    yield patch('web1', uri('run_log', 10), content='hello again\n')
    yield get('web1', uri('run_log', 10))
    yield get('db1', uri('run_log', 10))
    yield post('web1', uri('run_log'), run=run, content='a second time')
    yield patch('web1', uri('run_log', 10), content='hello again\n')
    yield patch('web1', run, return_dts='2026-03-02 13:00:05+00:00', return_success=True)
    yield get('web1', run)
    yield get('web1', uri('run') + '?job=2&state=scheduled')
    yield patch('web1', run, return_dts='2026-03-02 13:00:05+00:00', return_success=True)
    yield get('web1', uri('run') + '?job=2&state=scheduled')
    yield get('web1', uri('job', 1))
    # A start of its own, a run that never spawned, and a reset.
    yield patch('web1', uri('run', 14), enqueue_dts='2026-03-02T14:00:00Z', worker=uri('worker', 1))
    yield patch('web1', uri('run', 14), start_dts='2026-03-02 14:00:01+00:00', return_dts='2026-03-02 14:00:01+00:00',
                return_success=False)
    yield get('web1', uri('run', 14))
    yield patch('web1', uri('run', 11), start_dts='2026-03-02 14:00:02+01:00', pid=5)
    yield patch('web1', uri('run', 11), enqueue_dts=None, start_dts=None)
    yield patch('web1', uri('run', 99), pid=1)
    yield patch('ops1', uri('run', 10), pid=1)
    yield patch('nobody', uri('run', 10), pid=1)
    yield patch('junk signature', uri('run', 10), pid=1)
    yield patch('web1', uri('run', 10), start_dts='never')
    yield patch('web1', uri('run', 10), worker=uri('worker', 77))
    yield patch('web1', uri('run', 10), worker='nonsense')
    yield patch('web1', uri('run', 10), pid='nonsense')
    for body in ('{', '[]', '"text"', ''):
        yield send('web1', 'PATCH', uri('run', 10), body)
    yield send('web1', 'PATCH', uri('run', 10), '{"pid": 6}', Content_Type='application/json; charset=utf-8')
    yield send('web1', 'PATCH', uri('run', 10), '{"pid": 7}', Content_Type='text/plain')
    yield get('web1', uri('run', 10))


def answering():
    """Pings and kills."""
    worker = uri('worker', 1)
    yield patch('web1', worker, ping_response_dts='2026-03-02 15:00:00.123456+00:00', worker_version='3.0.0',
                concurrent_jobs=9)
    yield get('web1', worker)
    yield patch('web1', worker, ping_response_dts='2026-03-02T16:00:00+01:00')
    yield get('web1', uri('worker'))
    yield patch('web1', uri('worker', 2), concurrent_jobs=1)
    yield patch('web1', uri('worker', 99), concurrent_jobs=1)
    yield patch('web1', worker, ping_response_dts='nonsense')
    yield patch('nobody', worker, concurrent_jobs=1)
    kill = uri('kill_request', 2)
    yield get('web1', kill)
    yield patch('web1', kill, enqueue_dts='2026-03-02 13:00:00+00:00')
    yield get('web1', kill)
    yield patch('web1', kill, execute_dts='2026-03-02 13:00:01.25+00:00')
    yield get('web1', kill)
    yield patch('web1', kill, execute_dts='2026-03-02 13:00:01.25+00:00')
    yield patch('db1', kill, execute_dts='2026-03-02 13:00:09+00:00')
    yield patch('web1', uri('kill_request', 99), enqueue_dts='2026-03-02 13:00:00+00:00')
    yield patch('web1', kill, enqueue_dts='nonsense')
    yield post('session', uri('kill_request'), run=uri('run', 15))
    yield get('session', uri('kill_request', 6))
    yield get('db1', uri('kill_request', 6))
    yield get('web1', uri('kill_request', 6))
    yield post('session', uri('kill_request'), run=uri('run', 99))
    yield post('session', uri('kill_request'), run='nonsense')
    yield post('nobody', uri('kill_request'), run=uri('run', 15))
    yield post('ops1', uri('kill_request'), run=uri('run', 15))
    yield post('web1', uri('run_log'), run=uri('run', 9), content='not mine')
    yield post('web1', uri('run_log'), run=uri('run', 99), content='no such run')
    yield post('nobody', uri('run_log'), run=uri('run', 10), content='who?')
    yield post('web1', uri('run_log'), run=uri('run', 10))
    yield patch('web1', uri('run_log', 99), content='x')
    yield patch('ops1', uri('run_log', 1), content='x')


def scheduling():
    """What people do in the dashboard."""
    yield post('session', uri('run'), job=uri('job', 9), is_manual=True, schedule_children=False,
               schedule_dts='2036-01-02 12:00:00+00:00')
    yield get('session', uri('run', 22))
    yield post('session', uri('run'), job=uri('job', 9), is_manual=True, schedule_children=True,
               schedule_dts='2036-07-02 12:00:00+02:00')
    yield get('session', uri('run', 23))
    yield post('web1', uri('run'), job=uri('job', 9), schedule_dts='2036-08-02 12:00:00+02:00')
    yield get('web1', uri('run', 24))
    yield get('session', uri('run') + '?job=9&state=scheduled')
    yield post('session', uri('run'), job=uri('job', 99), schedule_dts='2036-01-02 12:00:00+00:00')
    yield post('ops1', uri('run'), job=uri('job', 9), schedule_dts='2036-01-02 12:00:00+00:00')
    yield post('nobody', uri('run'), job=uri('job', 9), schedule_dts='2036-01-02 12:00:00+00:00')
    yield post('session', uri('run'), job=uri('job', 9), schedule_dts='nonsense')
    yield post('session', uri('run'), schedule_dts='2036-01-02 12:00:00+00:00')
    # The dashboard sends back the whole job that it was given.
    top = {
        'children': ['/api/v1/job/2/'], 'description': '*First* of a chain', 'disable_enqueue_after_fails': 3,
        'enqueue_is_enabled': False, 'id': 1, 'job_template': '/api/v1/job_template/2/', 'notification_addresses': '',
        'parent': None, 'reschedule_interval': None, 'reschedule_interval_type': '',
        'resource_uri': '/api/v1/job/1/', 'run_on_all_workers': False, 'schedule_children_on_error': False,
        'script_content': '#!/bin/bash\necho hello\n', 'script_content_partial': 'echo hello', 'title': 'Top',
        'worker_pool': '/api/v1/worker_pool/1/',
    }
    yield send('session', 'PUT', uri('job', 1), top)
    yield get('session', uri('job', 1))
    yield get('session', uri('job', 2))
    yield send('session', 'PUT', uri('job', 1), dict(top, enqueue_is_enabled=True))
    yield get('session', uri('job', 1))
    yield patch('session', uri('job', 1), script_content_partial='echo "<new>"', description='changed')
    yield get('session', uri('job', 1))
    yield patch('session', uri('job', 6), script_content_partial='a < b')
    yield get('session', uri('job', 6))
    yield patch('session', uri('job', 9), reschedule_interval=3, reschedule_interval_type='HOUR',
                disable_enqueue_after_fails=5, notification_addresses='x@example.com', run_on_all_workers=True,
                schedule_children_on_error=True, title='Renamed', parent=uri('job', 1), worker_pool=uri('worker_pool', 2))
    yield get('session', uri('job', 9))
    yield get('session', uri('job', 1))
    yield patch('session', uri('job', 9), parent=None, reschedule_interval=None, reschedule_interval_type='')
    yield get('session', uri('job', 9))
    yield patch('web1', uri('job', 9), description='by a worker of its project')
    yield get('web1', uri('job', 9))
    yield patch('ops1', uri('job', 9), description='by a stranger')
    yield patch('nobody', uri('job', 9), description='by nobody')
    yield patch('session', uri('job', 99), description='x')
    yield patch('session', uri('job', 9), job_template=uri('job_template', 99))
    yield post('session', uri('job'), title='Made', job_template=uri('job_template', 2),
               worker_pool=uri('worker_pool', 1), script_content_partial='echo made', children=[])
    yield get('session', uri('job', 11))
    yield get('session', uri('job') + '?title=Made')
    yield post('nobody', uri('job'), title='No', job_template=uri('job_template', 2),
               worker_pool=uri('worker_pool', 1), script_content_partial='x')
    yield post('ops1', uri('job'), title='No', job_template=uri('job_template', 2),
               worker_pool=uri('worker_pool', 1), script_content_partial='x')


def trespassing():
    """What a person without rights tries with a header that only looks like a worker's."""
    yield patch('session junk', uri('job', 1), script_content_partial='echo owned')
    yield post('session junk', uri('run'), job=uri('job', 1), schedule_dts='2036-01-02 12:00:00+00:00')
    yield get('session junk', uri('run', 1))
    yield get('session basic', uri('run', 1))
    yield get('session basic', uri('worker'))
    # Two workers claim one run, and a returned run is told of again.
    claim = '2026-03-02 13:00:00+00:00'
    yield patch('web1', uri('run', 13), enqueue_dts=claim, worker=uri('worker', 1))
    yield patch('web2', uri('run', 13), enqueue_dts=claim, worker=uri('worker', 2))
    yield patch('web1', uri('run', 2), pid=1)
    yield get('web1', uri('run') + '?job=2&state=scheduled')
    yield patch('web1', uri('run', 2), return_dts='2026-03-02 14:00:00+00:00', return_success=False)
    yield get('web1', uri('run', 2))


ALL = dict((name, list(call())) for name, call in (
    ('1-reading', reading), ('2-listing', listing), ('3-methods', methods), ('4-running', running),
    ('5-answering', answering), ('6-scheduling', scheduling), ('7-trespassing', trespassing)))
