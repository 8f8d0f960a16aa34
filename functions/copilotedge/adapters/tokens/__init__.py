"""Whose a token is: JSON Web Tokens (RFC 7519), checked by PyJWT.

::

    claims       form, signature, claims -> Identity; foreign errors become ``Unauthenticated``
    keys         keys that are read from elsewhere, kept, and read again
    shared_key   mode jwt: HS256 with the keys of a secret
    oidc         mode oidc: an OpenID provider's public keys
    jwks         what the keys of a JSON Web Key Set may be used for

The modes are imported one by one: only ``oidc`` needs an HTTP client.
"""
