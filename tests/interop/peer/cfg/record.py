"""Asks the original server everything that its workers and its dashboard ask, and writes the answers down.

    record.py WORK OUT    (JOB_RUNNER_PEER_DB: the database of `peer.py seed`, which is filled)

Who asks is part of a call: `web1` and the like are workers that sign, `session` is a person of the dashboard,
`nobody` has no credentials, and what begins with `junk` has bad ones.
"""
import hashlib
import hmac
import httplib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta

import pytz

import calls

HERE = os.path.dirname(os.path.abspath(__file__))
UTC = pytz.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Answers that name the time at which they were made say this instead.
NOW = '<now>'
TIME = re.compile(r'^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{6})?$')
KEPT = ('content-type', 'location', 'vary', 'allow', 'cache-control')
CSRF = 'c' * 32


def at(minutes, microsecond=0):
    """So many minutes after a day in winter, in Amsterdam one hour ahead of UTC."""
    return datetime(2026, 3, 2, 12, 0, 0, microsecond, tzinfo=UTC) + timedelta(minutes=minutes)


# ---------------------------------------------------------------- what the server holds

def fill():
    from django.contrib.auth.models import Group, User
    from job_runner.apps.job_runner import models as m
    first = Group.objects.get()
    admins, others = Group.objects.create(name='Admins'), Group.objects.create(name='Others')
    User.objects.get().groups.add(admins, others)

    def worker(name, **flags):
        return m.Worker.objects.create(title=name.title(), api_key=name, secret='secret of ' + name, **flags)

    web1 = worker('web1', description='The first', ping_response_dts=at(-3, 250), worker_version='2.1.2', concurrent_jobs=4)
    web2 = worker('web2')
    db1 = worker('db1', ping_response_dts=at(-2), worker_version='2.1.2', concurrent_jobs=1)
    ops1 = worker('ops1', enqueue_is_enabled=False)
    web10 = worker('web10')

    def pool(title, workers, **flags):
        made = m.WorkerPool.objects.create(title=title, **flags)
        made.workers.add(*workers)
        return made

    web = pool('Web', [web2, web1, web10], description='Front', notification_addresses='a@example.com')
    data = pool('Data', [db1], enqueue_is_enabled=False)
    lonely = pool('Lonely', [ops1])

    def project(title, pools, groups, auth, **flags):
        made = m.Project.objects.create(title=title, **flags)
        made.worker_pools.add(*pools)
        made.groups.add(*groups)
        made.auth_groups.add(*auth)
        return made

    site = project('Site', [web, data], [first, admins], [admins], description='The site')
    ops = project('Ops', [lonely], [others], [first, others], enqueue_is_enabled=False)

    def template(title, body, project, **flags):
        return m.JobTemplate.objects.create(title=title, body=body, project=project, **flags)

    bash = template('Bash', '#!/bin/bash\n{{ content|safe }}\n', site, description='With a shebang')
    escaped = template('Escaped', '{{ content }}', site, enqueue_is_enabled=False)
    tools = template('Tools', '{{ content|safe }}', ops)

    def job(title, template, pool, script='echo hello', **flags):
        return m.Job.objects.create(
            title=title, job_template=template, worker_pool=pool, script_content_partial=script, **flags)

    top = job('Top', bash, web, description='*First* of a chain', disable_enqueue_after_fails=3)
    child = job('Child', bash, web, parent=top)
    job('Grandchild', bash, data, parent=child, enqueue_is_enabled=False)
    minutes = job('Minutes', bash, web, reschedule_interval=5, reschedule_interval_type='MINUTE')
    hours = job(u'Hourly \u2713 caf\xe9', bash, data, reschedule_interval=1, reschedule_interval_type='HOUR',
                notification_addresses='b@example.com\nc@example.com')
    days = job('Days', escaped, web, script='a < b && c > "d"', reschedule_interval=2, reschedule_interval_type='DAY',
               schedule_children_on_error=True)
    months = job('Months', tools, lonely, script='#!/bin/sh\ntrue', reschedule_interval=1,
                 reschedule_interval_type='MONTH')
    everywhere = job('Everywhere', bash, web, run_on_all_workers=True)
    idle = job('Idle', bash, web, script='')
    busy = job('Busy', bash, web)
    for other in (hours, days):
        m.RescheduleExclude.objects.create(job=other, start_time='01:00', end_time='02:30', note='night')

    def run(job, due, worker=None, enqueue=None, start=None, back=None, success=None, log=None, **flags):
        made = m.Run.objects.create(job=job, schedule_dts=due, worker=worker, **flags)
        # As the original's API would leave it, without what a return sets off.
        m.Run.objects.filter(pk=made.pk).update(
            enqueue_dts=enqueue, start_dts=start, return_dts=back, return_success=success)
        if log is not None:
            m.RunLog.objects.create(run=made, content=log)
        return made

    far = datetime(2036, 6, 1, 12, 0, tzinfo=UTC)
    for n in range(6):
        run(top, at(n), web1 if n % 2 else web2, at(n, 10), at(n, 20), at(n + 1, n), n % 3 != 0,
            u'line %d\ncaf\xe9\n' % n, pid=1000 + n)
    run(child, at(10), web1, at(11), at(12), at(13), True, '')
    run(hours, at(20), db1, at(21), at(22), at(23), False, 'no', is_manual=True, schedule_children=False)
    run(months, at(25), ops1, at(26), at(27), at(28), True, 'ops')
    run(busy, at(30), web1, at(31), at(32), pid=4242)                              # started
    queued = run(days, at(35), web1, at(36))                                       # in the queue
    run(child, at(40), web2, at(41))                                               # another worker's
    run(top, at(50))                                                               # due
    run(idle, at(51), is_manual=True)                                              # due
    run(hours, at(52), db1, at(53), at(54), pid=77)
    for n, later in enumerate((minutes, hours, days, months, everywhere)):
        run(later, far + timedelta(hours=n))
    run(minutes, at(60), web1, at(61), at(62), at(63), None, None)

    def kill(run, asked, enqueue=None, execute=None):
        made = m.KillRequest.objects.create(run=m.Run.objects.get(pk=run))
        m.KillRequest.objects.filter(pk=made.pk).update(schedule_dts=asked, enqueue_dts=enqueue, execute_dts=execute)

    kill(1, at(0, 500), at(1), at(2))
    kill(10, at(33))
    kill(9, at(27), at(28))
    kill(8, at(22))
    kill(queued.pk, at(37))
    for job, last in ((top, 6), (child, 7), (hours, 8), (months, 9), (minutes, 21)):
        m.Job.objects.filter(pk=job.pk).update(last_completed_schedule_id=last)


TABLES = {
    'auth_group': ('auth_group', 'id name'),
    'project': ('job_runner_project', 'id title description enqueue_is_enabled notification_addresses'),
    'worker': ('job_runner_worker', 'id title description api_key secret enqueue_is_enabled ping_response_dts '
               'worker_version concurrent_jobs'),
    'worker_pool': ('job_runner_workerpool', 'id title description enqueue_is_enabled notification_addresses'),
    'pool_worker': ('job_runner_workerpool_workers', 'workerpool_id worker_id'),
    'project_pool': ('job_runner_project_worker_pools', 'project_id workerpool_id'),
    'viewers': ('job_runner_project_groups', 'project_id group_id'),
    'admins': ('job_runner_project_auth_groups', 'project_id group_id'),
    'job_template': ('job_runner_jobtemplate', 'id title description body project_id enqueue_is_enabled '
                     'notification_addresses'),
    'job': ('job_runner_job', 'id parent_id job_template_id worker_pool_id run_on_all_workers '
            'schedule_children_on_error title description script_content_partial script_content enqueue_is_enabled '
            'reschedule_interval reschedule_interval_type notification_addresses fail_times '
            'disable_enqueue_after_fails last_completed_schedule_id'),
    'reschedule_exclude': ('job_runner_rescheduleexclude', 'id job_id start_time end_time note'),
    'run': ('job_runner_run', 'id job_id schedule_id worker_id schedule_dts enqueue_dts start_dts return_dts '
            'return_success pid is_manual schedule_children'),
    'run_log': ('job_runner_runlog', 'id run_id content'),
    'kill_request': ('job_runner_killrequest', 'id run_id schedule_dts enqueue_dts execute_dts'),
}


def plain(value):
    """As our store has it: microseconds since 1970, seconds since midnight, 0 and 1."""
    if hasattr(value, 'year'):
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        gone = value - EPOCH
        return (gone.days * 86400 + gone.seconds) * 1000000 + gone.microseconds
    if hasattr(value, 'hour'):
        return value.hour * 3600 + value.minute * 60 + value.second
    return int(value) if isinstance(value, bool) else value


def held():
    from django.db import connection
    cursor, out = connection.cursor(), {}
    for ours, (table, columns) in TABLES.items():
        columns = columns.split()
        cursor.execute('SELECT %s FROM %s' % (', '.join(columns), table))
        out[ours] = [dict((column[:-3] if column.endswith('_id') and column != 'schedule_id'
                           and column != 'last_completed_schedule_id' else column, plain(value))
                          for column, value in zip(columns, row)) for row in cursor.fetchall()]
    return out


def session():
    from django.contrib.auth import BACKEND_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    store = SessionStore()
    store[SESSION_KEY] = User.objects.get().pk
    store[BACKEND_SESSION_KEY] = 'django.contrib.auth.backends.ModelBackend'
    store.save()
    return store.session_key


# ---------------------------------------------------------------- asking

class Server(object):
    def __init__(self, database):
        with_port = socket.socket()
        with_port.bind(('127.0.0.1', 0))
        self.port = with_port.getsockname()[1]
        with_port.close()
        self.child = subprocess.Popen(
            [sys.executable, '-s', os.path.join(HERE, 'peer.py'), 'rest', str(self.port)],
            env=dict(os.environ, JOB_RUNNER_PEER_DB=database), stdout=open(os.devnull, 'w'), stderr=subprocess.STDOUT)
        until = time.time() + 60
        while socket.socket().connect_ex(('127.0.0.1', self.port)):
            if self.child.poll() is not None or time.time() > until:
                sys.exit('the original did not start')
            time.sleep(0.05)

    def ask(self, who, method, path, headers, body):
        connection = httplib.HTTPConnection('127.0.0.1', self.port, timeout=60)
        connection.request(method, path, body, dict(headers, **credentials(who, method, path, body)))
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read().decode('utf-8')

    def end(self):
        self.child.kill()
        self.child.wait()


def credentials(who, method, path, body):
    if who == 'nobody':
        return {}
    if who == 'session':
        return {'Cookie': 'sessionid=%s; csrftoken=%s' % (SESSION, CSRF), 'X-CSRFToken': CSRF,
                'X-Requested-With': 'XMLHttpRequest'}
    if who == 'session basic':
        return dict(credentials('session', method, path, body), Authorization='Basic eDp5')
    if who == 'session junk':
        return dict(credentials('session', method, path, body), Authorization='ApiKey web1:junk')
    key, secret = who, 'secret of ' + who
    if who == 'junk signature':
        key, secret = 'web1', 'not the secret'
    elif who == 'junk scheme':
        return {'Authorization': 'Basic eDp5'}
    signed = hmac.new(secret, method + path + (body or ''), hashlib.sha1).hexdigest()
    return {'Authorization': 'ApiKey %s:%s' % (key, signed)}


def timeless(value, began):
    if isinstance(value, dict):
        return dict((key, timeless(member, began)) for key, member in value.items())
    if isinstance(value, list):
        return [timeless(member, began) for member in value]
    if isinstance(value, unicode) and TIME.match(value) and value[:13] >= began and value < '2030':
        return NOW
    return value


def record(work, out, name, asked):
    database = os.path.join(work, name + '.sqlite')
    shutil.copy(os.environ['JOB_RUNNER_PEER_DB'], database)
    server = Server(database)
    began = datetime.now(pytz.timezone('Europe/Amsterdam')).strftime('%Y-%m-%dT%H')
    try:
        with open(os.path.join(out, name + '.jsonl'), 'w') as lines:
            for who, method, path, headers, body in asked:
                if body is not None:
                    headers = dict({'Content-Type': 'application/json'}, **headers)
                status, answered, text = server.ask(who, method, path, headers, body)
                kept = dict((key.lower(), value.replace(':%d/' % server.port, '/')) for key, value in answered
                            if key.lower() in KEPT)
                try:
                    text = timeless(json.loads(text), began)
                except ValueError:
                    pass
                line = {'who': who, 'method': method, 'path': path, 'headers': headers, 'body': body,
                        'status': status, 'answer_headers': kept, 'answer': text}
                lines.write(json.dumps(line, sort_keys=True) + '\n')
    finally:
        server.end()
    print('%4d calls  %s' % (len(asked), name))


def main(work, out):
    global SESSION
    fill()
    with open(os.path.join(out, 'seed.json'), 'w') as file_:
        json.dump(held(), file_, indent=1, sort_keys=True)
        file_.write('\n')
    SESSION = session()
    for name, asked in sorted(calls.ALL.items()):
        record(work, out, name, asked)


if __name__ == '__main__':
    main(*sys.argv[1:])
