"""A browser of few words for Flask's test client: keeps the CSRF token, logs in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape

from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "Allo-allo-2010"
CHEAP_HASHER = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
CREDENTIAL = CHEAP_HASHER.hash(PASSWORD)
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Visitor:
    """One browser, French unless told otherwise; `address` is where it comes from."""

    def __init__(self, app: Flask, address: str = "192.168.1.77", language: str = "fr") -> None:
        self.http: FlaskClient = app.test_client()
        self.http.environ_base["REMOTE_ADDR"] = address
        self.language = language

    def get(self, path: str, **headers: str) -> TestResponse:
        """GET with the visitor's language; `Sec_Fetch_Site="cross-site"` is a header."""
        return self.http.get(path, headers=self._headers(headers))

    def token(self, page: str = "/login") -> str:
        """A CSRF token of this browser's session."""
        for path in (page, "/password", "/setup"):
            found = _TOKEN.search(self.get(path).text)
            if found is not None:
                return unescape(found[1])
        raise AssertionError(f"no form on {page}")

    def post(
        self, path: str, data: Mapping[str, object] | None = None, *, page: str = "/login", **headers: str
    ) -> TestResponse:
        """POST a form as the page's own form would."""
        form = {"csrf_token": self.token(page), **(data or {})}
        return self.http.post(path, data=form, headers=self._headers(headers))

    def follow(self, response: TestResponse) -> TestResponse:
        """The page a redirect leads to."""
        assert response.status_code == 302, (response.status_code, response.text[:400])
        return self.get(response.headers["Location"])

    def log_in(self) -> Visitor:
        """Log in; the visitor itself, for chaining."""
        response = self.post("/login", {"password": PASSWORD})
        assert response.status_code == 302, response.text
        return self

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {"Accept-Language": self.language, "Accept": "text/html"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }


class Owner(Visitor):
    """A visitor who is logged in."""

    def __init__(self, app: Flask, address: str = "192.168.1.20", language: str = "fr") -> None:
        super().__init__(app, address, language)
        self.log_in()
