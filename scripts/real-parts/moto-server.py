"""A moto server on a free port of loopback, which it tells on its standard output once it listens.

One request at a time: moto looks for an object and puts it in two steps, between which another thread may do the same,
while S3's "put if there is none" is one.
"""

import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

moto = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()


def one_at_a_time(environ, start_response):
    with turn:
        return list(moto(environ, start_response))


class Handler(MotoRequestHandler):
    def log_request(self, *_):
        pass


server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=Handler)
print(server.server_port, flush=True)
server.serve_forever()
