"""What all tests share."""

import signal

from hypothesis import settings

# A job in the background inherits an ignored SIGINT, and so would the processes that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No timed asserts: a first example may import a library, on a busy machine, for seconds.
settings.register_profile("forge", deadline=None)
settings.load_profile("forge")
