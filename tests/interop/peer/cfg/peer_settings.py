"""The original's development settings, with what the environment says about files and ports."""
import os

from job_runner.settings.env.development import *

DATABASES = {
    'default': {
        'ENGINE': 'django.db.backends.sqlite3',
        'NAME': os.environ['JOB_RUNNER_PEER_DB'],
        # Writers wait for each other; without this a busy database answers 500 after 5 s.
        'OPTIONS': {'timeout': 60},
    }
}
DEBUG = False
TEMPLATE_DEBUG = False
ALLOWED_HOSTS = ['*']
LOGGING['loggers']['']['level'] = 'INFO'

JOB_RUNNER_BROADCASTER_PORT = int(os.environ.get('JOB_RUNNER_PEER_BROADCASTER_PORT', 5556))
JOB_RUNNER_WORKER_PING_INTERVAL = float(os.environ.get('JOB_RUNNER_PEER_PING_INTERVAL', 300))
