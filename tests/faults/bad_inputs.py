"""The table of bad inputs: what is given, the exit code, and the three parts of the message."""

from dataclasses import dataclass
from pathlib import Path

import typer

from dashboards.cli import app as dashboards_app
from sweeps.cli import app

SMOKE = Path("search_spaces/smoke.yaml")
LONG = "x" * 300
PASSWORD = "pass/w0rd@1234"


@dataclass(frozen=True)
class Row:
    """One bad input. `said` are the rule, the value or its place, and the fix, as the message has them.

    In `command` and `said`, ``{here}`` is the test's folder; `text` is what ``{here}/bad.yaml`` holds.
    """

    name: str
    command: str
    said: tuple[str, str, str]
    code: int = 2
    text: str | bytes | None = None
    tracking: str | None = None
    app: typer.Typer = app


def setting(name: str, override: str, rule: str, value: str, fix: str, code: int = 2) -> Row:
    """A value of a sweep file that is wrong, given to `run`."""
    return Row(name, f"run {SMOKE} --storage {{here}}/new --set|{override}", (rule, value, fix), code)


def text(name: str, content: str | bytes, rule: str, value: str, fix: str, code: int = 2) -> Row:
    """A sweep file that is wrong, given to `run`."""
    return Row(name, "run {here}/bad.yaml --storage {here}/new", (rule, value, fix), code, text=content)


def named(name: str, sweep: str) -> list[Row]:
    """An id that is none, given to every command that takes one."""
    rule = "a sweep's id has 1 to 63 lower-case letters"
    said = (rule, repr(sweep), "Choose another")
    commands = [f"{command}|{sweep}|--storage|{{here}}/results" for command in ("status", "front", "best", "resume")]
    commands += [f"{command}|{sweep}|--storage|{{here}}/results" for command in ("confirm", "sync")]
    rows = [Row(f"{name}, {command.partition('|')[0]}", command, said) for command in commands]
    run = Row(f"{name}, run", f"run|{SMOKE}|--storage|{{here}}/new|--id|{sweep}", said)
    return [*rows, run, Row(f"{name}, picture", commands[1], said, app=dashboards_app)]


def linked(command: str, app: typer.Typer = app) -> Row:
    """A sweep's folder that is a link."""
    said = ("a sweep lies in its storage folder", "results/linked is a link to", "Put the sweep itself there")
    return Row(
        f"link, {command}{'' if app is not dashboards_app else ', picture'}",
        f"{command} --storage {{here}}/results",
        said,
        code=6,
        app=app,
    )


def secret(kind: str, value: str) -> Row:
    """Something in a sweep file that is a secret."""
    return setting(f"secret: {kind}", f"description='{value}'", f"looks like {kind}", "--set", "take it out", code=6)


def uri(name: str, value: str, rule: str) -> Row:
    """An address of MLflow that is none."""
    said = (rule, "MLFLOW_TRACKING_URI is", "Use sqlite:////absolute/path/mlflow.db or http://host:port")
    return Row(f"tracking: {name}", f"run {SMOKE} --storage {{here}}/new", said, tracking=value)


HIGH = "9223372036854775808"
TEMPERATURE, SIZE = "trial.objective.temperature", "trial.memory.size"
SETTINGS = [
    setting("temperature 0", f"{TEMPERATURE}=0", "greater than 0", f"{TEMPERATURE} = 0", "above 0"),
    setting("temperature negative", f"{TEMPERATURE}=-0.1", "greater than 0", f"{TEMPERATURE} = -0.1", "above 0"),
    setting("temperature NaN", f"{TEMPERATURE}=.nan", "a finite number", f"{TEMPERATURE} = NaN", "finite"),
    setting("temperature inf", f"{TEMPERATURE}=.inf", "a finite number", f"{TEMPERATURE} = Infinity", "finite"),
    setting("log from 0", f"{TEMPERATURE}={{float: [0, 1], log: true}}", "starts above 0", "[0, 1]", "raise the low"),
    setting("low above high", f"{TEMPERATURE}={{float: [1, 0.1]}}", "low end comes first", "[1, 0.1]", "[0.1, 1]"),
    setting("a range to inf", f"{TEMPERATURE}={{float: [0.1, .inf]}}", "two numbers", "Infinity", "[low, high]"),
    setting("a range of strings", f"{SIZE}={{int: ['1', '9']}}", "two whole numbers", '"1"', "int: [low, high]"),
    setting("a range of one value", f"{SIZE}={{int: [64, 64]}}", "more than one value", "[64, 64]", "itself: 64"),
    setting("a step too long", "trial.embedding={int: [8, 31], step: 8}", "divide the range", "step = 8", "end at 24"),
    setting("a step of 0", "trial.embedding={int: [8, 32], step: 0}", "above 0", "step = 0", "above 0, or remove"),
    setting("an empty choice", "trial.memory={choice: []}", "two options or more", '{"choice": []}', "[a, b]"),
    setting("one option", "trial.embedding={choice: [8]}", "two options or more", "[8]", "write the option itself"),
    setting("an option twice", "trial.embedding={choice: [32, 32]}", "the same name, 32", "choice.1 = 32", "remove"),
    setting("two kinds", f"{SIZE}={{int: [1, 9], choice: [1, 2]}}", "one distribution", SIZE, "keep one of"),
    setting("a bound on nothing", f"{SIZE}={{int: [1, 9], at_most: gone}}", "must be there", SIZE, "correct the path"),
    setting("negatives > memory", "trial.negatives.count={int: [4, 4096]}", "at most the rows", "4096", "16 or less"),
    setting("negatives always > memory", "trial.negatives.count=4096", "at most the rows", "4096", "or less"),
    setting("a bound too low", f"{SIZE}=2", "must not exceed the bound", '"int": [4, 64]', "start this range at 2"),
    setting("a memory too large", f"{SIZE}=1000000000000", "at most 10000000", "1000000000000", "10000000 or less"),
    setting("an unknown key", "trial.objective.tempreature=1", "no such key", "tempreature = 1", "`temperature`?"),
    setting("a numeric string", "trial.optimizer.learning_rate='1e-3'", "a number", '"1e-3"', "without quotes"),
    setting("no for false", "trial.teacher_cache=no", "true or false", 'teacher_cache = "no"', "write true or false"),
    setting("octal", "trial.batch_size=010", "may not start with 0", '"010"', "remove the zero"),
    setting("an integer of 65 bits", f"trial.batch_size={HIGH}", "at most 1000000", HIGH, "1000000 or less"),
    setting("an integer of 32 digits", f"trial.batch_size={'9' * 32}", "29 digits", "1e+32", "a smaller one"),
    setting("ten million trials", "budget.trials=10000000", "at most 1000000", "10000000", "1000000 or less"),
    setting("half a trial", "budget.trials=2.5", "a whole number", "budget.trials = 2.5", "a whole number"),
    setting("no end", "budget={}", "a budget has an end", "budget = {}", "write `trials: 100`"),
    setting("a negative cap", "budget.cost_s=-1", "greater than 0", "budget.cost_s = -1", "above 0"),
    setting("money without a price", "budget={money: 3}", "go together", "price_per_device_hour", "give both"),
    setting("an unknown cap", "budget.foo=3", "no such key", "budget.foo = 3", "use one of: trials, cost_s"),
    setting("a negative seed", "search.seed=-1", "at least 0", "search.seed = -1", "0 or more"),
    setting("a seed of 64 bits", f"search.seed={HIGH}", f"less than {HIGH}", "search.seed", f"below {HIGH}"),
    setting("a seed in words", "search.seed=x", "a whole number", 'search.seed = "x"', "a whole number"),
    setting("a search by its name", "search=random", "a mapping", 'search = "random"', "write `{name: random}`"),
    setting("an unknown search", "search={name: randm}", "must be one of", 'search.name = "randm"', "`random`?"),
    setting("keep all", "stop={name: non_dominated, keep: 1}", "less than 1", "stop.keep = 1", "below 1"),
    setting("no goal", "goals={}", "at least 1 items", "goals = {}", "add items"),
    setting("a goal for test", "goals={test/transfer/knn_top1: maximize}", "validation", "test/transfer", "did you"),
    setting("a goal upwards", "goals={transfer/knn_top1: up}", "maximize, minimize", '"up"', "use one of"),
    setting("a bound of nothing", "constraints={transfer/cka: {}}", "bounds its metric", "cka = {}", "`at_least:"),
    setting(
        "a bound that none keeps", "constraints={compute/peak_bytes: {at_most: 1}}", "must keep it", "1.0", "loosen"
    ),
    setting("no slot", "resources.slots=0", "at least 1", "resources.slots = 0", "write 1 or more"),
    setting("too many slots", "resources.slots=4096", "at the same time", "4096 slots x 1", "Lower slots"),
    setting("a swept seed", "trial.seed={int: [0, 3]}", "the same for all", "trial.seed", "give it one value"),
    setting("a name that is a path", "name=../x", "the pattern", 'name = "../x"', "a value that matches"),
    setting("a long description", f"description={'x' * 10_001}", "at most 10000 characters", "description", "shorten"),
    setting("no value", "search.seed", "an override is path=value", "search.seed", "write --set search.seed=3"),
    setting("no path", "=3", "an override is path=value", "--set", "write --set search.seed=3"),
    setting("one key twice", "search.seed=1|--set|search.seed=2", "set once", 'search.seed = "2"', "keep one --set"),
    setting("a key and its part", "search={name: tpe}|--set|search.seed=2", "set once", "search.seed", "keep one"),
    setting("a part of a number", "trial.steps.x=1", "has no parts", "trial.steps.x", "set trial.steps itself"),
    setting("a tag for code", f"{SIZE}=!!python/name:os.system x", "asks for Python code", SIZE, "remove the tag", 6),
    Row(
        "a part of a choice",
        "validate search_spaces/contrast.yaml --set trial.negatives.mode=shared",
        ("no parts beside its options", "trial.negatives.mode", "the option that is meant: choice.0.mode (uniform)"),
    ),
]
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nname: [*b, *b]\n"
TEXTS = [
    text("nothing", "", "a document holds a value", "bad.yaml", "write one"),
    text("a list", "- 1\n", "a mapping of keys to values", "bad.yaml:1", "start it with `name:`"),
    text("no YAML", "name: [\n", "must be YAML", "bad.yaml:2", "correct the line"),
    text("a tab", "\tname: x\n", "must be YAML", "bad.yaml:1", "correct the line"),
    text("two documents", "name: x\n---\nname: y\n", "holds one document", "bad.yaml:2", "correct the line"),
    text("no UTF-8", b"name: \xff\xfe\n", "UTF-8", "bad.yaml", "save it as UTF-8"),
    text("a NUL", "name: a\0b\n", "must be YAML", "#x0000", "remove the character"),
    text("keys missing", "name: x\n", "this key is required", "trial (missing)", "add it"),
    text("a key twice", "name: x\nname: y\n", "stands on line 1 already", 'bad.yaml:2  name = "y"', "remove one"),
    text("a number as key", "1: 2\n", "a key must be a string", "bad.yaml:1", "put the key in quotes"),
    text("an alias bomb", BOMB, "an alias (*name) may not", "bad.yaml:2  b.0", "write the value itself"),
    text("a merge of an alias", "a: &a {x: 1}\n<<: *a\n", "an anchor (&name)", "bad.yaml:1", "remove the anchor"),
    text("a tag", "name: !x y\n", "may not carry a tag", 'bad.yaml:1  name = "y"', "remove the tag"),
    text("code", 'name: !!python/object/apply:os.system ["true"]\n', "asks for Python", ":1", "do not use files", 6),
    text("more than 1 MiB", "#" * (1024 * 1024 + 1), "at most 1 MiB", "bad.yaml", "keep data out"),
    text("deep flow", "[" * 5000, "at most 32 deep", "bad.yaml:1", "flatten"),
    text("deep mappings", "{a: " * 40 + "1" + "}" * 40, "at most 32 deep", "bad.yaml:1", "flatten"),
    text("a password in a comment", "# http://u:pw@h\nname: x\n", "a password in a URI", "bad.yaml:1", "revoke it", 6),
    Row("no file", "run {here}/gone.yaml", ("the file must be readable", "gone.yaml", "give the path of a YAML file")),
    Row("a misspelt file", "run search_spaces/smok.yaml", ("readable", "smok.yaml", "did you mean `smoke.yaml`?")),
    Row("a folder", "run {here}", ("the file must be readable", "directory", "give the path of a YAML file")),
    Row("no file, validate", "validate {here}/gone.yaml", ("readable", "gone.yaml", "path of a YAML file")),
    Row("no file, preview", "preview {here}/gone.yaml", ("readable", "gone.yaml", "path of a YAML file")),
]
IDS = [
    *named("a path upwards", "../../x"),
    *named("an absolute path", "/etc"),
    *named("what lies in storage", "cache"),
    *named("a NUL", "a\0b"),
    *named("300 characters", LONG),
    *named("full-width letters", "\uff53moke"),
    *named("an invisible letter", "smoke\u200b1"),
    *named("a line break", "smoke-1\n"),
    *named("a dot", "."),
    linked("status linked"),
    linked("front linked"),
    linked("best linked"),
    linked("resume linked"),
    linked("confirm linked"),
    linked("sync linked"),
    linked(f"run {SMOKE} --id linked"),
    linked("front linked", dashboards_app),
    Row(
        "link of a ledger", "status half --storage {here}/results", ("storage folder", "ledger.db is a link", "Put"), 6
    ),
    Row("a sweep that is there", f"run {SMOKE} --storage {{here}}/results --id one", ("once", "one", "another id")),
    *(
        Row(f"no such sweep, {name}", f"{name} gone --storage {{here}}/results", ("holds its ledger", "gone", "Check"))
        for name in ("status", "front", "best", "resume", "confirm", "sync")
    ),
]
STORAGE_RULE = "--storage must be a place to write in"
PLACES = [
    Row("a file", f"run {SMOKE} --storage {{here}}/file", (STORAGE_RULE, "{here}/file", "Give another")),
    Row("in a file", f"run {SMOKE} --storage {{here}}/file/in", (STORAGE_RULE, "{here}/file/in", "Give another")),
    Row("a file, preview", f"preview {SMOKE} --storage {{here}}/file", (STORAGE_RULE, "{here}/file", "Give another")),
    Row("read-only", f"run {SMOKE} --storage /proc/results", (STORAGE_RULE, "/proc/results", "Give another")),
    Row("a URI", f"run {SMOKE} --storage s3://k:{PASSWORD}@b/x", ("no credentials", "s3://k:***@b/x", "Give another")),
    Row("empty, status", "status --storage {here}/none", ("there is no sweep in", "{here}/none", "Run one with")),
    Row("empty, ui", "ui --storage {here}/none", ("no results", "{here}/none/mlflow.db", "Run a sweep, or give its")),
    uri("a file", "file:///tmp/mlruns", "its scheme is one of"),
    uri("a folder", "mlruns", "its scheme is one of"),
    uri("ftp", f"ftp://user:{PASSWORD}@host/x", "its scheme is one of"),
    uri("a relative file", "sqlite:///mlflow.db", "an absolute path, after four"),
    uri("memory", "sqlite://", "an absolute path, after four"),
    uri("no host", "http://", "a server has a host"),
    uri("one slash", "http:/host", "a server has a host"),
    uri("a high port", f"http://user:{PASSWORD.replace('/', '%2F')}@host:99999", "a port below 65536"),
    Row(
        "tracking: ui",
        "ui --storage {here}/results",
        ("database or a server", "file:/x", "unset it"),
        tracking="file:/x",
    ),
    Row("tracking: sync", "sync one --storage {here}/results", ("server", "file:/x", "unset"), tracking="file:/x"),
    Row("tracking: resume", "resume one --storage {here}/results", ("server", "file:/x", "unset"), tracking="file:/x"),
]
ONE = "one --storage {here}/results"
BUDGET = "resume " + ONE + " --budget "
BOUND = "a bound is metric=number"
COMMANDS = [
    Row("resume: unknown cap", BUDGET + "foo=3", ("no such key", "'foo': 3", "use one of: trials, cost_s")),
    Row("resume: misspelt cap", BUDGET + "cots_s=3", ("no such key", "'cots_s': 3", "did you mean `cost_s`?")),
    Row("resume: no number", BUDGET + "trials=many", ("cap=number", "'trials=many'", "write cost_s=100")),
    Row("resume: NaN", BUDGET + "cost_s=nan", ("cap=number", "'cost_s=nan'", "write cost_s=100")),
    Row("resume: infinite", BUDGET + "cost_s=1e999", ("cap=number", "'cost_s=1e999'", "write cost_s=100")),
    Row("resume: half a trial", BUDGET + "trials=20.5", ("a whole number", "20.5", "write a whole number")),
    Row("resume: negative", BUDGET + "trials=-1", ("at least 1", "'trials': -1", "write 1 or more")),
    Row("resume: used", BUDGET + "trials=4", ("for the whole sweep", "trials=4", "Give more")),
    Row("resume: a cap twice", BUDGET + "trials=8 --budget trials=9", ("given once", "'trials=9'", "keep one")),
    Row("resume: money alone", BUDGET + "money=3", ("go together", "price_per_device_hour", "give both")),
    Row("resume: other data", BUDGET + "trials=9", ("a sweep keeps its data", "digest d,", "Restore the data")),
    Row("resume: other code", BUDGET.replace("one", "same-data") + "trials=9", ("its code", "digest c,", "--accept-")),
    Row("best: no number", f"best {ONE} --at-least much", (BOUND, "'much'", "write transfer/knn_top1=0.6")),
    Row("best: NaN", f"best {ONE} --at-least nan", (BOUND, "'nan'", "write transfer/knn_top1=0.6")),
    Row("best: twice", f"best {ONE} --budget 1 --budget 2", ("given once", "'2'", "keep one of the two")),
    Row("best: unknown metric", f"best {ONE} --at-least foo=1", ("no metric foo", "foo >= 1", "Loosen a bound")),
    Row("best: out of reach", f"best {ONE} --at-least 2", ("no point of the front", "knn_top1 >= 2", "Loosen a bound")),
    Row("best: on test", f"best {ONE} --at-least test/a=1", ("validation selects", "test/a", "Bound a")),
    Row("confirm: one seed", f"confirm {ONE} --seeds 1", ("greater than or equal to 2", "--seeds", "--help")),
    Row("confirm: other data", f"confirm {ONE}", ("a sweep keeps its data", "digest d,", "Restore the data")),
    Row("confirm: nothing", f"confirm {ONE} --json", ("no two fresh seeds", "'one'", "Leave --json out")),
    Row("ui: port 0", "ui --port 0", ("greater than or equal to 1", "--port", "--help")),
    Row("ui: port 65536", "ui --port 65536", ("less than or equal to 65535", "--port", "--help")),
    Row("ui: port in words", "ui --port http", ("a valid integer", "--port", "--help")),
    Row("no command", "validte x", ("No such command", "'validte'", "Did you mean 'validate'?")),
    Row("no option", f"run {SMOKE} --sett x=1", ("No such option", "--sett", "--set")),
    Row("no argument", "validate", ("Missing argument", "'file'", "--help")),
    Row("methods", "methods x", ("unexpected extra argument", "x", "--help")),
    Row("picture: text", f"front {ONE} --output {{here}}/x.txt", ("a picture", "x.txt", "Give"), app=dashboards_app),
    Row("picture: no folder", f"front {ONE} --output {{here}}/no/x.png", ("there", "no/x", "Give"), app=dashboards_app),
    Row("picture: a folder", f"front {ONE} --output {{here}}", ("a picture", "{here}", "Give"), app=dashboards_app),
]
SECRETS = [
    secret("an access key of AWS", "AKIAIOSFODNN7EXAMPLE"),
    secret("a secret key of AWS", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    secret("a token of GitHub", "ghp_" + "a1B2" * 9),
    secret("a token of Hugging Face", "hf_" + "aB3d" * 8),
    secret("an API key (sk-...)", "sk-" + "aB3d" * 8),
    secret("a bearer token", "Authorization: Bearer abcdef123456ghijkl"),
    secret("a JSON web token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"),
    secret("a private key", "-----BEGIN OPENSSH PRIVATE KEY-----"),
    secret("a password in a URI", f"postgresql://user:{PASSWORD}@host/db"),
    secret("a credential in a URI", "https://host/x?access_token=abc"),
]
TABLE = [*SETTINGS, *TEXTS, *IDS, *PLACES, *COMMANDS, *SECRETS]
