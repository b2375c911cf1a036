"""One process of the original Job-Runner, or of what the tests need beside it.

    peer.py seed                        make the database (JOB_RUNNER_PEER_DB)
    peer.py rest PORT                   the REST API
    peer.py broadcast                   the broadcaster (JOB_RUNNER_PEER_BROADCASTER_PORT)
    peer.py websocket EVENTS_PORT PORT  the WebSocket server
    peer.py answer                      orders as JSON lines on stdin, answers on stdout
    peer.py worker CONFIG_PATH          the original worker
    peer.py render                      templates and scripts as a JSON list of pairs on stdin, whole scripts on stdout

The original's own code does the work in every one of them.
"""
import json
import os
import sys
import time
import traceback


def manage(*arguments):
    from django.core.management import execute_from_command_line
    execute_from_command_line(['manage.py'] + list(arguments))


def seed():
    manage('syncdb', '--noinput')
    manage('migrate')
    from django.contrib.auth.models import Group, User
    from job_runner.apps.job_runner.models import JobTemplate, Project
    group = Group.objects.create(name='Group')
    admin = User.objects.create_superuser('admin', 'admin@example.com', 'admin')
    admin.groups.add(group)
    project = Project.objects.create(title='Project')
    project.groups.add(group)
    project.auth_groups.add(group)
    # A job's script is exactly what the job says, its shebang included.
    JobTemplate.objects.create(title='Script', body='{{ content|safe }}', project=project)


def quick_database():
    """The databases of tests live for seconds: nothing needs to reach the disk."""
    from django.db.backends.signals import connection_created

    def relax(connection, **kwargs):
        connection.cursor().execute('PRAGMA synchronous = OFF')

    connection_created.connect(relax, weak=False)


def rest(port):
    quick_database()
    from django.db import connection, transaction
    from django.db.models.signals import post_save
    from job_runner.apps.job_runner.models import Run

    def execute(statement):
        connection.cursor().execute(statement)
        transaction.commit_unless_managed()

    # Each save of a returned run has consequences (mail, fail_times, children): write them down. In
    # the request's own transaction, so that a save counts exactly when its consequences do.
    def saved(instance, **kwargs):
        if instance.return_dts:
            execute('INSERT INTO peer_returns VALUES (%d)' % instance.pk)

    execute('CREATE TABLE IF NOT EXISTS peer_returns (run INTEGER NOT NULL)')
    post_save.connect(saved, sender=Run, weak=False)
    manage('runserver', '--noreload', '127.0.0.1:%s' % port)


def broadcast():
    """The broadcaster looks each 5 s, and 2 s after its start; the tests cannot wait that long."""
    quick_database()
    from job_runner.apps.job_runner.management.commands import broadcast_queue
    poll = float(os.environ.get('JOB_RUNNER_PEER_POLL', 5))

    class Clock(object):
        @staticmethod
        def sleep(seconds):
            time.sleep(seconds * poll / 5)

    broadcast_queue.time = Clock
    manage('broadcast_queue')


def script(name, *arguments):
    """Runs one of the scripts that the original's packages install."""
    import job_runner_worker
    folder = os.path.join(os.path.dirname(os.path.dirname(job_runner_worker.__file__)), 'bin')
    sys.argv = [os.path.join(folder, name)] + list(arguments)
    # A job's script inherits the worker's environment: this Python's is not for its Python.
    for ours in ('PYTHONPATH', 'PYTHONDONTWRITEBYTECODE', 'DJANGO_SETTINGS_MODULE'):
        os.environ.pop(ours, None)
    execfile(sys.argv[0], {'__name__': '__main__', '__file__': sys.argv[0]})


def answer():
    quick_database()
    from django.db import transaction
    for line in iter(sys.stdin.readline, ''):
        order = json.loads(line)
        try:
            # One transaction, as a request has: a run is first inserted and then given its
            # schedule_id by a second save, and nobody may see it in between.
            with transaction.commit_on_success():
                reply = {'ok': ORDERS[order.pop('do')](**order)}
        except Exception:
            reply = {'error': traceback.format_exc()}
        sys.stdout.write(json.dumps(reply) + '\n')
        sys.stdout.flush()


def models():
    from job_runner.apps.job_runner import models
    return models


def add_worker(api_key, secret, pools):
    m = models()
    worker = m.Worker.objects.create(title=api_key, api_key=api_key, secret=secret)
    for title in pools:
        pool, created = m.WorkerPool.objects.get_or_create(title=title)
        pool.workers.add(worker)
        m.Project.objects.get().worker_pools.add(pool)
    return worker.pk


def add_job(title, script, pool, parent=None, **flags):
    m = models()
    return m.Job.objects.create(
        title=title,
        job_template=m.JobTemplate.objects.get(),
        worker_pool=m.WorkerPool.objects.get(title=pool),
        parent=parent and m.Job.objects.get(pk=parent),
        script_content_partial=script,
        **flags
    ).pk


def schedule(jobs):
    m = models()
    runs = []
    for job in jobs:
        m.Job.objects.get(pk=job).schedule()
        runs.append(m.Run.objects.filter(job=job).order_by('-pk')[0].pk)
    return runs


def kill(run):
    m = models()
    return m.KillRequest.objects.create(run=m.Run.objects.get(pk=run)).pk


def text(dts):
    return dts and dts.isoformat()


def dump():
    m = models()
    lengths = dict((log.run_id, len(log.content or '')) for log in m.RunLog.objects.all())
    from django.db import connection
    cursor = connection.cursor()
    cursor.execute('SELECT run, COUNT(*) FROM peer_returns GROUP BY run')
    saves = dict(cursor.fetchall())
    return {
        'runs': [{
            'id': run.pk,
            'job': run.job_id,
            'worker': run.worker_id,
            'schedule_id': run.schedule_id,
            'enqueue_dts': text(run.enqueue_dts),
            'start_dts': text(run.start_dts),
            'return_dts': text(run.return_dts),
            'return_success': run.return_success,
            'pid': run.pid,
            'log_length': lengths.get(run.pk),
            'returns': saves.get(run.pk, 0),
        } for run in m.Run.objects.order_by('id')],
        'jobs': [{
            'id': job.pk,
            'title': job.title,
            'fail_times': job.fail_times,
        } for job in m.Job.objects.order_by('id')],
        'kill_requests': [{
            'id': request.pk,
            'run': request.run_id,
            'enqueue_dts': text(request.enqueue_dts),
            'execute_dts': text(request.execute_dts),
        } for request in m.KillRequest.objects.order_by('id')],
        'workers': [{
            'id': worker.pk,
            'api_key': worker.api_key,
            'ping_response_dts': text(worker.ping_response_dts),
            'worker_version': worker.worker_version,
            'concurrent_jobs': worker.concurrent_jobs,
        } for worker in m.Worker.objects.order_by('id')],
    }


def log(run):
    for found in models().RunLog.objects.filter(run=run):
        return found.content


def render():
    """Each pair as the job of that template and script is rendered when it is saved; null where that fails."""
    from django.db.models import Model
    from job_runner.apps.job_runner.models import Job, JobTemplate
    Model.save = lambda self, *arguments, **keywords: None
    rendered = []
    for body, content in json.load(sys.stdin):
        job = Job(job_template=JobTemplate(id=1, body=body), script_content_partial=content)
        try:
            job.save()
            rendered.append(job.script_content)
        except Exception:
            rendered.append(None)
    json.dump(rendered, sys.stdout)


ORDERS = {
    'add_worker': add_worker,
    'add_job': add_job,
    'schedule': schedule,
    'kill': kill,
    'dump': dump,
    'log': log,
}


if __name__ == '__main__':
    verb, arguments = sys.argv[1], sys.argv[2:]
    if verb == 'seed':
        seed()
    elif verb == 'rest':
        rest(*arguments)
    elif verb == 'broadcast':
        broadcast()
    elif verb == 'websocket':
        script('job_runner_ws_server', '--events-port', arguments[0], '--ws-port', arguments[1])
    elif verb == 'answer':
        answer()
    elif verb == 'worker':
        script('job_runner_worker', '--config-path', *arguments)
    elif verb == 'render':
        render()
    else:
        sys.exit(__doc__)
