"""Network access: proxies, certificates, which addresses may be called, how much of an answer is read.

In: settings and addresses. Out: an httpx transport, checked addresses, bounded bodies. Never in here: a backend's
dialect, a retry, a payment.
"""
