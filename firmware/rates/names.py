"""What providers call their columns, in six languages, and the units that a column's name tells. Pure.

`Prix TTC (€/min)` is a price a minute, with taxes, in EUR; `Rate [ct/s]` is one in hundredths a
second. A name says less than it seems to: what is read here is a proposal, and the household has
the last word (mapping.py).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

MAX_NAME = 60

# For each meaning its names, the surest first: of two columns with one meaning the earlier name wins.
_NAMES: dict[str, tuple[str, ...]] = {
    "prefix": (
        "prefix", "prefixes", "prefixe", "prefixes e164", "indicatif", "indicatifs", "dial code", "dial codes",
        "dialling code", "dialing code", "dialcode", "dialed digits", "dialed prefix", "phone prefix", "indicatif tel",
        "indicatif international", "indicatif pays", "racine", "tranche", "vorwahl", "vorwahlen", "rufnummernbereich",
        "landesvorwahl", "prefijo", "prefijos", "prefisso", "prefissi", "prefisso internazionale", "kengetal",
        "voorvoegsel", "landnummer", "netnummer", "destination code", "numbering", "number range", "range", "ranges",
        "from", "de", "von", "country code", "code pays", "landercode", "landeskennzahl", "codigo", "codice", "code",
        "codes", "kode", "numero", "number", "nummer",
    ),
    "prefix_more": (
        "area code", "area codes", "city code", "city codes", "ndc", "code operateur", "indicatif regional",
        "ortsvorwahl", "codigo de area", "codigo area", "prefijo local", "prefisso locale", "prefisso distrettuale",
        "gebiedscode", "local code",
    ),
    "prefix_to": (
        "prefix to", "to", "range end", "fin", "fin de tranche", "fin de plage", "bis", "hasta", "fino a", "tot",
    ),
    "destination": (
        "destination", "destinations", "destination name", "nom de la destination", "libelle", "libelle destination",
        "ziel", "zielname", "reiseziel", "rufziel", "destino", "destinos", "nombre destino", "destinazione",
        "destinazioni", "bestemming", "bestemmingen", "destination country", "description", "designation", "zone",
        "bezeichnung", "beschreibung", "descripcion", "descrizione", "omschrijving", "country", "pays", "land", "pais",
        "paese", "name", "nom", "nombre", "nome", "naam",
    ),
    "destination_more": (
        "network", "reseau", "netz", "red", "rete", "netwerk", "network type", "type de reseau", "line type", "type",
        "breakout", "route", "operator", "operateur", "betreiber", "operador", "operatore", "carrier",
    ),
    "rate_per_minute": (
        "rate per minute", "rate", "rates", "price", "price per minute", "cost per minute", "call rate", "call charge",
        "prix", "prix minute", "prix par minute", "prix la minute", "prix a la minute", "prix de la minute", "tarif",
        "tarif minute", "tarif par minute", "tarif a la minute", "cout", "cout par minute", "preis", "minutenpreis",
        "preis pro minute", "tarif pro minute", "gesprachspreis", "precio", "precio por minuto", "precio minuto",
        "tarifa", "coste por minuto", "prezzo", "prezzo al minuto", "tariffa", "tariffa al minuto", "costo al minuto",
        "costo", "prijs", "prijs per minuut", "tarief", "tarief per minuut", "minuutprijs", "minuuttarief", "amount",
        "cost", "charge", "montant", "per minute",
    ),
    "connection_fee": (
        "connection fee", "connect fee", "connection charge", "connection cost", "connect charge", "setup fee",
        "set up fee", "setup", "setup charge", "call setup", "frais de connexion", "frais de mise en relation",
        "mise en relation", "cout de mise en relation", "cout de connexion", "frais d etablissement",
        "etablissement d appel", "frais d etablissement d appel", "verbindungsgebuhr", "verbindungsentgelt",
        "einwahlgebuhr", "verbindungsaufbau", "establecimiento de llamada", "establecimiento", "coste de conexion",
        "coste de establecimiento",
        "cuota de establecimiento", "scatto alla risposta", "scatto", "costo di connessione", "starttarief",
        "opstartkosten", "verbindingskosten", "starttarieven", "fee",
    ),
    "per_call": (
        "per call", "price per call", "rate per call", "flat fee", "prix par appel", "tarif par appel", "par appel",
        "prix a l appel", "pro anruf", "preis pro anruf", "por llamada", "precio por llamada", "per chiamata",
        "prezzo per chiamata", "per gesprek", "prijs per gesprek",
    ),
    "minimum": (
        "minimum", "minimum charge", "min charge", "minimum price", "prix minimum", "minimum de facturation",
        "montant minimum", "mindestpreis", "mindestbetrag", "importe minimo", "addebito minimo", "minimumbedrag",
    ),
    "increments": (
        "increments", "billing increments", "billing increment", "billing", "billing interval", "rounding",
        "facturation", "paliers", "paliers de facturation", "pas de facturation", "increment de facturation",
        "taktung", "takt", "abrechnungstakt", "tarificacion", "incrementos", "intervalo de tarificacion",
        "scatti di conteggio", "tariffazione", "intervallo di fatturazione", "afrekening", "facturatie interval",
    ),
    "first_increment": (
        "first increment", "initial increment", "first interval", "initial interval", "initial period",
        "first period", "minimum duration", "min duration", "minimum time", "interval 1", "premier increment",
        "premier palier", "premiere periode", "duree minimale", "duree minimum", "erster takt", "mindestdauer",
        "primer incremento", "duracion minima", "primo scatto", "durata minima", "eerste interval", "minimumduur",
        "grace min duration",
    ),
    "next_increment": (
        "next increment", "increment", "subsequent increment", "second increment", "following increment",
        "next interval", "interval n", "interval 2", "additional period", "interval", "increment suivant",
        "palier suivant", "palier", "paliers suivants", "pas", "folgetakt", "weitere takte", "siguiente incremento",
        "incremento", "scatto successivo", "scatti successivi", "volgend interval", "incrementum",
    ),
    "grace": ("grace", "grace period", "free seconds", "secondes gratuites", "delai de grace"),
    "steps": ("steps", "group intervals"),
    "band": (
        "band", "time band", "time period", "plage", "plage horaire", "periode tarifaire", "zeitfenster", "tarifzeit",
        "franja", "franja horaria", "fascia", "fascia oraria", "tijdvak",
    ),
    "service_per_call": ("service per call", "prix du service par appel", "service par appel"),
    "service_per_minute": ("service per minute", "prix du service par minute", "service par minute"),
    "currency": (
        "currency", "currency code", "devise", "monnaie", "wahrung", "moneda", "divisa", "valuta", "munt",
        "munteenheid",
    ),
    "valid_from": (
        "valid from", "effective date", "effective from", "effective", "start date", "date d effet", "date effet",
        "date d application", "applicable au", "applicable a partir du", "a partir du", "valable des", "en vigueur le",
        "gultig ab", "gultig seit", "valido desde", "fecha de vigor", "fecha efectiva", "fecha", "desde",
        "valido dal", "data di decorrenza", "decorrenza", "geldig vanaf", "ingangsdatum",
    ),
}  # fmt: skip
_MEANINGS = {name: (meaning, rank) for meaning, names in _NAMES.items() for rank, name in enumerate(names)}

_SECOND = re.compile(r"(?:/|\b(?:par|per|pro|por|al|je|a la|la)) ?(?:s|sec|secs|second\w*|seconde\w*|sek\w*|seg\w*)\b")
_MINUTE = re.compile(r"(?:/|\b(?:par|per|pro|por|al|je|a la|la)) ?(?:mn|min|mins|minut\w*)\b")
_CENTS = re.compile(r"\b(?:euro ?)?(?:cts?|c|cents?|centimes?|centesimi|centimos?)\b|[c¢] ?€|¢")
_CURRENCIES = ((re.compile(r"€|\beur(?:os?)?\b"), "EUR"), (re.compile(r"\$|\busd\b"), "USD"),
               (re.compile(r"£|\bgbp\b"), "GBP"), (re.compile(r"\bchf\b"), "CHF"))  # fmt: skip
_WITHOUT_TAX = re.compile(
    r"\b(?:hors (?:taxes?|tva)|ht|h t|excl(?:uding|usive)?\.? ?(?:vat|tax(?:es)?|btw|tva|iva|mwst)?|ex (?:vat|btw)|"
    r"sans (?:taxes?|tva)|netto|net|ohne mwst|zzgl mwst|sin (?:iva|impuestos)|iva esclusa|senza iva)\b"
)
_WITH_TAX = re.compile(
    r"\b(?:ttc|t t c|toutes taxes comprises|incl(?:uding|usive)?\.? ?(?:vat|tax(?:es)?|btw|tva|iva)|inkl\.? ?mwst|"
    r"brutto|con (?:iva|impuestos)|iva (?:incluido|inclusa|incluida))\b"
)


@dataclass(frozen=True, slots=True)
class Guess:
    """What a column's name says: its meaning (a target of mapping.py), and how sure (`rank`, 0 the surest)."""

    target: str
    rank: int
    second: bool = False
    cents: bool = False
    currency: str = ""
    tax: str = ""


def fold(text: str) -> str:
    """Lower case without accents: `Réunion` is found by `reunion`."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c))


@lru_cache(maxsize=512)
def key(name: str) -> str:
    """A column's name as it is compared: folded, with single spaces, at most MAX_NAME characters."""
    return " ".join(re.sub(r"[\s_\x00]+", " ", fold(name).strip().strip("'\"")).split())[:MAX_NAME]


def recognise(name: str) -> Guess | None:
    """What a column called `name` holds, or None if that cannot be told."""
    text = key(name)
    known = _MEANINGS.get(_words(text))
    currency = next((code for pattern, code in _CURRENCIES if pattern.search(text)), "")
    without, with_tax = _WITHOUT_TAX.search(text), _WITH_TAX.search(text)
    tax = "excluded" if without else "included" if with_tax else ""
    second, minute, cents = _SECOND.search(text), _MINUTE.search(text), _CENTS.search(text)
    core = text
    for pattern in (_SECOND, _MINUTE, _WITH_TAX, _WITHOUT_TAX, _CENTS, *(pattern for pattern, _ in _CURRENCIES)):
        core = pattern.sub(" ", core)
    words = _words(core)
    known = known or _MEANINGS.get(words)
    if known is None and (second or minute) and (not words or currency or cents):
        known = ("rate_per_minute", len(_NAMES["rate_per_minute"]))
    if known is None:
        return None
    target, rank = known
    return Guess(target, rank, bool(second), bool(cents), currency, tax)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text))
