"""What the core's socket offers: the one table that its server and its clients share.

Apart from the clients, so that the core does not carry an HTTP client it never uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

OWNER = "owner"
PAGE = "page"
MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: `takes` is query, body or nothing; path parameters are the `{names}`."""

    verb: str
    path: str
    operation: str
    roles: frozenset[str]
    takes: str = ""


_ALL = frozenset({OWNER, PAGE, MAIL})
_HOUSE = frozenset({OWNER, PAGE})

# Who may ask what. The mail process parses hostile bytes: it reads missed calls and the
# language, and can neither dial, ring, nor read an account.
ROUTES = (
    Route("GET", "/v1/status", "status", _ALL),
    Route("GET", "/v1/calls", "calls", _ALL, "query"),
    Route("GET", "/v1/accounts", "accounts", _HOUSE),
    Route("POST", "/v1/accounts", "add_account", _HOUSE, "body"),
    Route("PATCH", "/v1/accounts/{name}", "change_account", _HOUSE, "body"),
    Route("DELETE", "/v1/accounts/{name}", "remove_account", _HOUSE),
    Route("POST", "/v1/accounts/{name}/test", "test_account", _HOUSE),
    Route("GET", "/v1/settings", "settings", _ALL),
    Route("PUT", "/v1/settings/{key}", "change_setting", _HOUSE, "body"),
    Route("GET", "/v1/settings-file", "export_settings", frozenset({OWNER})),
    Route("PUT", "/v1/settings-file", "import_settings", frozenset({OWNER}), "body"),
    Route("GET", "/v1/price", "price", _HOUSE, "query"),
    Route("GET", "/v1/decks", "decks", _HOUSE),
    Route("POST", "/v1/decks", "activate_deck", _HOUSE, "body"),
    Route("DELETE", "/v1/decks/{name}", "remove_deck", _HOUSE),
    Route("GET", "/v1/plans", "plans", _HOUSE),
    Route("POST", "/v1/plans", "set_plan", _HOUSE, "body"),
    Route("DELETE", "/v1/plans", "remove_plan", _HOUSE, "query"),
    Route("GET", "/v1/budgets", "budgets", _HOUSE),
    Route("PUT", "/v1/pins/{label}", "set_pin", _HOUSE, "body"),
    Route("DELETE", "/v1/pins/{label}", "remove_pin", _HOUSE),
    Route("GET", "/v1/alerts", "alerts", _ALL, "query"),
    Route("POST", "/v1/lines/{line}/ring-test", "ring_test", _HOUSE),
    Route("GET", "/v1/doctor", "doctor", _HOUSE),
    Route("POST", "/v1/lines/{line}/doctor", "start_doctor", _HOUSE),
    Route("DELETE", "/v1/doctor", "stop_doctor", _HOUSE),
    Route("GET", "/v1/trace", "trace", _HOUSE, "query"),
    Route("GET", "/v1/logs", "logs", _HOUSE, "query"),
    Route("GET", "/v1/page/credential", "page_credential", _HOUSE),
    Route("PUT", "/v1/page/credential", "set_page_credential", _HOUSE, "body"),
    Route("POST", "/v1/page/setup-code", "check_setup_code", _HOUSE, "body"),
)
EVENTS_PATH = "/v1/events"
ROLE_HEADER = "X-Allobox-Role"
BY_OPERATION = {route.operation: route for route in ROUTES}
MAX_BODY_BYTES = 1 << 20


def box_socket(data: Path) -> Path:
    """Where the core listens."""
    return data / "run" / "box.sock"


def mail_socket(data: Path) -> Path:
    """Where the mail worker listens."""
    return data / "run" / "mail.sock"
