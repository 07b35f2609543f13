"""Settings: what a person typed wrong is told, nothing is half-saved, secrets stay secret."""

import contextlib
from decimal import Decimal
from pathlib import Path

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from firmware import config, store
from firmware.config import ConfigError, Settings, SettingsFile

ACCOUNT = {"name": "home", "server": "sip.example.org", "user": "33142685300", "password": "S3cret-canary"}


def with_account() -> Settings:
    return config.parse({"account": [ACCOUNT]}, "settings.toml")


def test_a_mistyped_key_is_named_and_the_near_one_proposed() -> None:
    with pytest.raises(ConfigError, match=r"box\.langage: no such setting; did you mean 'language'\?"):
        config.parse({"box": {"langage": "fr"}}, "settings.toml")


def test_several_faults_are_told_at_once_with_their_keys() -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse({"box": {"timezone": "Europe/Pariss"}, "sip": {"port": 70000}}, "settings.toml")
    assert "did you mean 'Europe/Paris'" in caught.value.message
    assert "sip.port" in caught.value.message


@pytest.mark.parametrize(
    "server",
    [
        *("", "a b", "sip.example.org:0", "sip.example.org:99999", "http://x", "x;y", "x\nHost: y", "[::1", "-a.org"),
        *("300.1.1.1", "192.0.2", "1:2"),
    ],
)
def test_a_server_that_is_no_host_is_refused(server: str) -> None:
    with pytest.raises(ConfigError, match="server"):
        config.parse({"account": [ACCOUNT | {"server": server}]}, "settings.toml")


@pytest.mark.parametrize(
    "server", ["sip.example.org", "sip.example.org:5061", "192.0.2.1", "192.0.2.1:5060", "localhost:5070"]
)
def test_hosts_with_and_without_port_are_taken(server: str) -> None:
    assert config.parse({"account": [ACCOUNT | {"server": server}]}, "s").account[0].server == server


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"account": [ACCOUNT | {"server": "[2001:db8::1]:5060"}]}, r"account\.0\.server: .*IPv4 only"),
        ({"account": [ACCOUNT | {"proxy": "::1"}]}, "IPv4 only"),
        ({"calls": {"allow": ["premum"]}}, r"calls\.allow: 'premum' is no class .* did you mean 'premium'"),
        ({"calls": {"allow": ["emergency"]}}, "'emergency' is no class .*can be allowed"),
        ({"calls": {"allow_numbers": ["mamie"]}}, r"calls\.allow_numbers: 'mamie' is no number"),
        ({"calls": {"caps": ["all year 5"]}}, r"calls\.caps: 'all year 5' is no cap"),
        ({"calls": {"caps": ["all day 5", "all day 6"]}}, "all is capped twice a day"),
        ({"calls": {"longest_minutes": -1}}, r"calls\.longest_minutes: "),
        ({"pin": [{"label": "a"}, {"label": "a"}]}, "two PINs are called 'a'"),
        ({"pin": [{"label": "a", "hash": "2468"}]}, r"pin\.0\.hash: no argon2id hash"),
        ({"pin": [{"label": "a", "clases": []}]}, "did you mean 'classes'"),
        ({"pin": [{"label": str(n)} for n in range(9)]}, r"pin: .*at most 8"),
        ({"sip": {"bind": "::1"}}, r"sip\.bind: '::1' is an IPv6 address"),
        ({"sip": {"bind": "eth0"}}, "not an IPv4 address"),
        ({"sip": {"bind": "192.168.1.300"}}, "not an IPv4 address"),
        ({"sip": {"nameservers": ["dns.example.org"]}}, r"sip\.nameservers\.0: .*not an IPv4 address"),
        ({"sip": {"nameservers": [""]}}, "not an IPv4 address"),
        ({"sip": {"rtp_port": 4001}}, "even port"),
        ({"calls": {"announce_above": "15 cents"}}, "is no price a minute: write 0.15"),
        ({"calls": {"announce_above": "1e400"}}, "is no price"),
        ({"calls": {"announce_above": "-1"}}, "is no price"),
        ({"calls": {"warn_seconds": [60, 0]}}, "1 to 3600 seconds"),
        ({"calls": {"warn_seconds": [1, 2, 3, 4, 5]}}, "at most 4 warnings"),
        ({"sip": {"rtp_port": 65534}}, "even port"),
        ({"sip": {"rtp_port": 512}}, "even port"),
        ({"account": [ACCOUNT | {"codecs": []}]}, "at least one"),
        ({"account": [ACCOUNT | {"codecs": ["PCMA", "PCMA"]}]}, "named once"),
        ({"account": [ACCOUNT | {"codecs": ["Opus"]}]}, "'iLBC' or 'opus'"),
        ({"account": [ACCOUNT | {"ptime": 25}]}, "10, 20, 30 or 40"),
        ({"line": {"sample_rate": 44100}}, "44100 is no rate of a line: 8000, or 16000"),
        ({"account": [ACCOUNT | {"ptime": "20"}]}, "10, 20, 30 or 40"),
        ({"account": [ACCOUNT | {"dtmf": "outband"}]}, "'rfc4733', 'inband' or 'info'"),
        ({"account": [ACCOUNT | {"display_name": "é" * 33}]}, "66 bytes"),
        ({"account": [ACCOUNT | {"name": "x" * 41}]}, "1 to 40 characters, this one 41"),
        ({"account": [ACCOUNT | {"name": "a/b"}]}, "'a/b' is no name: letters, digits"),
        ({"account": [ACCOUNT | {"name": ".."}]}, "is no name"),
        ({"account": [ACCOUNT | {"name": "home\n"}]}, "is no name"),
    ],
)
def test_what_the_box_could_not_use_is_refused_in_words(tree: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.parse(tree, "settings.toml")


def test_addresses_ports_and_names_at_their_limits_are_taken() -> None:
    account = ACCOUNT | {"display_name": "é" * 32, "name": "é" * 40, "codecs": ["G722"]}
    sip = {"bind": "192.168.1.10", "nameservers": ["9.9.9.9"], "rtp_port": 65000, "port": 5060}
    settings = config.parse({"account": [account], "sip": sip}, "settings.toml")
    assert settings.sip.nameservers == ("9.9.9.9",)
    assert config.remarks(settings) == []


@pytest.mark.parametrize(
    ("text", "above"), [("0,34", "0.34"), ("0", "0"), ("off", None), ("Off", None), ("", None), ("2", "2")]
)
def test_the_price_above_which_a_call_is_announced_may_have_a_comma_or_be_off(text: str, above: str | None) -> None:
    calls = config.with_setting(Settings(), "calls.announce_above", text).calls
    assert calls.said_above() == (None if above is None else Decimal(above))
    assert Settings().calls.said_above() == Decimal("0.15")


def test_warnings_are_taken_in_their_order_and_once() -> None:
    assert config.with_setting(Settings(), "calls.warn_seconds", "10, 60,10").calls.warn_seconds == (60, 10)
    assert config.with_setting(Settings(), "calls.warn_seconds", "").calls.warn_seconds == ()


def test_a_privileged_port_is_taken_and_remarked_upon() -> None:
    (said,) = config.remarks(config.with_setting(Settings(), "sip.port", "80"))
    assert "sip.port 80" in said


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("account.0.number", "account set NAME --number"),
        ("account.home.display_name", "--display-name"),
        ("account.0.password", "--password-file"),
        ("account.0.ptime", "account set NAME --ptime"),
        ("account.0.dtmf", "account set NAME --dtmf"),
        ("account.0.vad", "account set NAME --vad"),
        ("acount.0.number", "config show"),
    ],
)
def test_the_settings_of_an_account_are_not_proposed_but_their_command_is(key: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.with_setting(with_account(), key, "x")
    assert said in caught.value.message
    assert "did you mean 'account" not in caught.value.message


def test_two_accounts_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two accounts are called 'home'"):
        config.parse({"account": [ACCOUNT, ACCOUNT]}, "settings.toml")


def test_a_password_shows_in_neither_repr_nor_masked_nor_omitted_tree() -> None:
    settings = with_account()
    for shown in (
        repr(settings),
        str(config.to_tree(settings, secrets="mask")),
        str(config.to_tree(settings, secrets="omit")),
    ):
        assert "S3cret-canary" not in shown


def test_what_is_saved_is_read_again_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.toml")
    file.save(with_account())
    assert file.load().settings == with_account()
    assert (tmp_path / "settings.toml").stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_leaves_the_previous_settings_in_force_and_says_so(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.toml")
    file.save(with_account())
    file.save(config.with_setting(with_account(), "box.language", "en"))
    (tmp_path / "settings.toml").write_text("[box\nlanguage = ")
    loaded = file.load()
    assert loaded.settings == with_account()
    assert "settings.toml: not valid TOML" in loaded.notice
    assert "line 1" in loaded.notice


def test_a_damaged_file_never_overwrites_the_good_previous_one(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.toml")
    file.save(with_account())
    file.save(with_account())
    (tmp_path / "settings.toml").write_text("\0\0\0")
    file.save(config.with_setting(with_account(), "box.language", "en"))
    assert config.read(tmp_path / "settings.toml.previous") == with_account()


def test_settings_that_vanished_are_replaced_by_the_previous_ones_and_that_is_told(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.toml")
    file.save(with_account())
    file.save(config.with_setting(with_account(), "box.language", "en"))
    (tmp_path / "settings.toml").unlink()
    loaded = file.load()
    assert loaded.settings == with_account()
    assert "settings.toml is missing" in loaded.notice


def test_a_box_that_was_never_configured_has_defaults_and_nothing_to_tell(tmp_path: Path) -> None:
    assert SettingsFile(tmp_path / "settings.toml").load() == config.Loaded(Settings())


def without_account() -> Settings:
    return config.parse({"box": {"language": "en"}}, "settings.toml")


def with_new_password() -> Settings:
    return config.changed_account(with_account(), "home", {"password": "another-0ne"})


@pytest.mark.parametrize("now", [without_account(), with_new_password()])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_password_that_goes_leaves_both_files(tmp_path: Path, now: Settings, damaged: bool) -> None:  # noqa: FBT001
    file = SettingsFile(tmp_path / "settings.toml")
    file.save(with_account())
    file.save(config.with_setting(with_account(), "box.country", "DE"))
    if damaged:
        (tmp_path / "settings.toml").write_text("[box\n")
    file.save(now)
    assert "S3cret-canary" not in "".join(path.read_text() for path in tmp_path.iterdir())
    assert config.read(tmp_path / "settings.toml.previous") == now
    assert file.load().settings == now


def test_a_password_that_goes_is_forgotten_even_when_the_previous_file_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SettingsFile(tmp_path / "settings.toml")
    file.save(with_account())
    file.save(with_account())
    write = store.write_atomically

    def only_the_first(path: Path, data: bytes) -> None:
        if path.name.endswith(".previous"):
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(config, "write_atomically", only_the_first)
    file.save(Settings())
    assert [path.name for path in tmp_path.iterdir()] == ["settings.toml"]
    assert file.load() == config.Loaded(Settings())


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SettingsFile(tmp_path / "settings.toml")
    file.save(with_account())

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.save(Settings())
    assert file.load().settings == with_account()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".new")] == []


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("box.colour", "red", "no such setting"),
        ("box", "x", "no such setting"),
        ("account", "x", "no such setting"),
        ("account.0.name", "x", "no such setting"),
        ("line.pulse", "perhaps", "line.pulse"),
        ("sip.port", "many", "sip.port"),
        ("box.language", "de", "box.language"),
        ("page.credential", "x", "on the page"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_words(key: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.with_setting(Settings(), key, text)


@pytest.mark.parametrize(("text", "value"), [("oui", True), ("no", False), ("on", True), ("0", False)])
def test_yes_and_no_are_understood(text: str, value: bool) -> None:  # noqa: FBT001
    assert config.with_setting(Settings(), "line.pulse", text).line.pulse is value


def test_an_optional_pin_can_be_set_and_taken_back() -> None:
    pinned = config.with_setting(Settings(), "line.gpio.pd", "22")
    assert pinned.line.gpio.pd == 22
    assert config.with_setting(pinned, "line.gpio.pd", "").line.gpio.pd is None


@given(st.binary(max_size=200))
def test_no_bytes_in_the_file_raise_anything_but_a_config_error(raw: bytes) -> None:
    with contextlib.suppress(ConfigError):
        config.parse_text(raw, "settings.toml")


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_key_and_value_raise_anything_but_a_config_error(key: str, value: str) -> None:
    with contextlib.suppress(ConfigError):
        config.with_setting(Settings(), key, value)


def test_the_flat_form_names_every_setting_that_can_be_set() -> None:
    flat = config.flatten(config.to_tree(Settings(), secrets="mask"))
    assert flat["box.language"] == "fr"
    assert flat["line.gpio.shk"] == 27


# --- several lines ---------------------------------------------------------------------------


def two_lines(*more: tuple[str, str]) -> config.Settings:
    settings = Settings()
    for key, value in (("line.count", "2"), *more):
        settings = config.with_setting(settings, key, value)
    return settings


def test_what_is_set_for_the_line_is_every_lines_and_what_is_set_for_line_2_is_its_alone() -> None:
    settings = two_lines(("line.pulse", "no"), ("line.2.pulse", "yes"), ("line.2.gpio.shk", "5"))
    assert [settings.line.of(line).pulse for line in (1, 2)] == [False, True]
    assert [settings.line.of(line).gpio.shk for line in (1, 2)] == [27, 5]
    assert settings.line.of(2).gpio.rm == settings.line.gpio.rm
    again = config.with_setting(settings, "line.2.pulse", "")
    assert again.line.of(2).pulse is False
    assert config.parse_text(tomlkit.dumps(config.to_tree(settings, secrets="clear")), "file") == settings


def test_two_lines_of_hardware_need_pins_and_a_sound_card_each() -> None:
    own = [("line.2.gpio.shk", "5"), ("line.2.gpio.rm", "6"), ("line.2.gpio.fr", "13"), ("line.2.alsa.capture", "b")]
    ready = two_lines(*own, ("line.2.alsa.playback", "b"), ("line.driver", "gpio_slic"))
    assert ready.line.of(2).gpio.fr == 13
    with pytest.raises(ConfigError, match=r"lines 1 and 2 cannot share GPIO pin 12: set line\.2\.gpio\.fr"):
        config.with_setting(ready, "line.2.gpio.fr", "")
    with pytest.raises(ConfigError, match=r"sound card \(playback\) default: set line\.2\.alsa\.playback"):
        config.with_setting(ready, "line.2.alsa.playback", "")
    simulated = ready.line.simulated()
    assert [simulated.of(line).driver for line in (1, 2)] == ["simulated", "simulated"]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("line.5.pulse", "no", "lines are 1 to 4"),
        ("line.2.puls", "no", "did you mean 'line.2.pulse'"),
        ("line.2.count", "2", "no such setting"),
        ("line.2.gpio.shk", "99", "line.2.gpio.shk"),
        ("line.count", "5", "line.count"),
        ("line.count", "0", "line.count"),
    ],
)
def test_a_wrong_setting_of_one_line_is_told_by_its_name(key: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace(".", r"\.")):
        config.with_setting(two_lines(), key, value)


def test_an_account_that_a_line_names_and_nobody_has_is_remarked() -> None:
    settings = two_lines(("line.2.account", "office"), ("line.2.ring_accounts", "home, office"))
    assert config.remarks(settings) == []
    named = config.parse(
        {
            **config.to_tree(settings, secrets="clear"),
            "account": [{"name": "home", "server": "sip.example.org", "user": "u"}],
        },
        "test",
    )
    assert [said.partition(":")[0] for said in config.remarks(named)] == ["line 2", "line 2"]


# --- hats -----------------------------------------------------------------------------------


def test_a_hat_is_one_setting_and_each_of_its_habits_another() -> None:
    gpio = config.with_setting(Settings(), "line.gpio.hat", "ks0835f").line.gpio
    assert (gpio.hat, gpio.fr_idle, gpio.pd_mode) == ("ks0835f", "hat", "hat")
    with pytest.raises(ConfigError, match=r"line\.gpio\.hat: .*'ag1170', 'ag1171' or 'ks0835f'"):
        config.with_setting(Settings(), "line.gpio.hat", "ag1172")


def test_an_mt8870_has_five_pins() -> None:
    wired = config.with_setting(Settings(), "line.gpio.mt8870", "5,6,13,16,26")
    assert wired.line.gpio.mt8870 == (5, 6, 13, 16, 26)
    assert config.with_setting(wired, "line.gpio.mt8870", "").line.gpio.mt8870 == ()
    for bad, said in (
        ("5,6", "2 pins: an MT8870 has five wires, StD,Q1,Q2,Q3,Q4"),
        ("5,6,13,16,54", "GPIO54: pins are 0"),
    ):
        with pytest.raises(ConfigError, match=said):
            config.with_setting(Settings(), "line.gpio.mt8870", bad)


@pytest.mark.parametrize(
    "device", ["", "/dev/serial/by-id/usb-Raspberry_Pi_Pico_E66:1-if00", "/dev/ttyAMA0", "/dev/serial/by-path/x+y.1"]
)
def test_serial_devices_are_taken_by_their_path(device: str) -> None:
    assert config.with_setting(Settings(), "line.serial.device", device).line.serial.device == device


@pytest.mark.parametrize(
    "device", ["ttyACM0", "COM3", "/etc/passwd", "/dev/../etc/passwd", "/dev/", "/dev/a b", "/dev/a\n"]
)
def test_what_is_no_serial_device_is_refused_in_words(device: str) -> None:
    with pytest.raises(ConfigError, match=r"line\.serial\.device: "):
        config.with_setting(Settings(), "line.serial.device", device)


def test_a_device_whose_name_may_change_is_taken_and_remarked_upon() -> None:
    settings = config.with_setting(Settings(), "line.serial.device", "/dev/ttyACM0")
    (said,) = config.remarks(settings)
    assert "another device may have this name" in said
    assert "/dev/serial/by-id" in said
    assert not config.remarks(config.with_setting(settings, "line.serial.device", "/dev/ttyAMA0"))


def test_a_speed_that_no_serial_line_has_is_refused() -> None:
    assert config.with_setting(Settings(), "line.serial.baud", "57600").line.serial.baud == 57600
    with pytest.raises(ConfigError, match=r"line\.serial\.baud: 57601 is no speed"):
        config.with_setting(Settings(), "line.serial.baud", "57601")


def test_two_lines_may_share_a_serial_hat_but_not_its_line() -> None:
    tree = {
        "driver": "serial_mcu",
        "count": 2,
        "serial": {"device": "/dev/ttyAMA0"},
        "2": {"alsa": {"capture": "b", "playback": "b"}},
    }
    shared = config.parse({"line": tree}, "s")
    assert [shared.line.of(line).serial.device for line in (1, 2)] == ["/dev/ttyAMA0"] * 2
    with pytest.raises(
        ConfigError, match=r"cannot share line 1 of the serial hat /dev/ttyAMA0: set line\.2\.serial\.line"
    ):
        config.with_setting(shared, "line.serial.line", "1")


def test_a_cap_of_a_pin_that_is_not_there_is_remarked_on() -> None:
    settings = config.parse({"calls": {"caps": ["pin:Zoé day 1.00"]}}, "settings.toml")
    assert config.remarks(settings) == ["calls.caps: no PIN is called 'Zoé'; nothing counts for that cap"]
    there = config.with_pin(settings, "Zoé", "$argon2id$x", ["premium"], [])
    assert config.remarks(there) == []


def test_a_pins_hash_that_is_replaced_is_gone_from_both_files(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.toml")
    file.save(config.with_pin(config.Settings(), "Zoé", "$argon2id$old", [], []))
    file.save(config.with_pin(file.load().settings, "Zoé", "$argon2id$new", [], []))
    for path in tmp_path.iterdir():
        assert "$argon2id$old" not in path.read_text()
    assert "$argon2id$new" not in str(config.to_tree(file.load().settings, secrets="mask"))
