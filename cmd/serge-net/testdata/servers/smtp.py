"""An SMTP server: smtp.py HOST CERT KEY. Port 2525 has STARTTLS, and 4650 TLS from the start."""
import asyncio
import ssl
import sys

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import AuthResult, SMTP

host, cert, key = sys.argv[1:]
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(cert, key)


def session(context):
    return SMTP(Sink(), hostname="mail.test.example", tls_context=context, loop=asyncio.get_event_loop(),
                auth_required=False, auth_require_tls=False, authenticator=lambda *_: AuthResult(success=True))


async def main():
    await asyncio.get_event_loop().create_server(lambda: session(tls), host, 2525)
    await asyncio.get_event_loop().create_server(lambda: session(None), host, 4650, ssl=tls)
    print("listening", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
