"""Sends mail: smtp_client.py plain|starttls|smtps HOST [USER PASSWORD]."""
import smtplib
import ssl
import sys
from email.message import EmailMessage

how, host = sys.argv[1:3]
m = EmailMessage()
m["From"], m["To"], m["Subject"] = "ada@example.com", "bob@example.com", "hello"
m.set_content("one line\nand another: \u00e9\n")
tls = ssl.create_default_context()
s = smtplib.SMTP_SSL(host, 4650, context=tls, local_hostname="me") if how == "smtps" else smtplib.SMTP(host, 2525, local_hostname="me")
print(s.ehlo())
if how == "starttls":
    print(s.starttls(context=tls), s.sock.version() is not None)
    print(s.ehlo())
if sys.argv[3:]:
    print(s.login(*sys.argv[3:]))
print(s.send_message(m))
print(s.noop())
print(s.quit())
