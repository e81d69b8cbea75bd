"""Looks at the administrators' page with a headless Chromium; `tests/page/run` calls it."""

import html.parser
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

CHROMIUM, ENDPOINT, PAGE, FOLDER, SCRATCH = sys.argv[1:]
FOLDER = pathlib.Path(FOLDER)
ROLE = "arn:aws:iam::111122223333:role/domino/"
EVIL = "<script>document.title='taken'</script>\"'><img src=x onerror=\"document.title='taken'\">&lt;b&gt;"


def invoke(function, payload):
    url = f"{ENDPOINT}/2015-03-31/functions/{function}/invocations"
    request = urllib.request.Request(url, json.dumps(payload).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def chromium(url, *arguments):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--no-first-run", f"--user-data-dir={SCRATCH}/browser", *arguments, url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


class Document(html.parser.HTMLParser):
    """The elements, their attributes, and the text that is shown."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.title, self.open = [], [], "", "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        if "title" in self.open:
            self.title += data
        if "style" not in self.open:
            self.text += data


def look(url):
    document = Document(chromium(url, "--dump-dom"))
    for forbidden in ("script", "img", "iframe", "link"):
        assert forbidden not in document.tags, f"{url}: a {forbidden} element"
    scripted = [name for name, _ in document.attributes if name.startswith("on")]
    assert not scripted, f"{url}: {scripted}"
    outside = [value for name, value in document.attributes if name in ("src", "href") and ":" in value]
    assert not outside, f"{url}: {outside}"
    assert "taken" not in document.title, f"{url}: the title was taken"
    return document


def has(document, *shown):
    for text in shown:
        assert text in document.text, f"`{text}` is not shown in:\n{document.text}"


def bind(name, role, **more):
    asked = {"action": "bind", "serviceAccount": name, "roleArn": ROLE + role, "mode": "apply", **more}
    answer = invoke("admin", asked)
    assert answer["ok"], answer["text"]


def settled():
    """The states by cluster once every cluster has reconciled all bindings."""
    for _ in range(40):
        status = invoke("admin", {"action": "status"})
        states = {
            one["clusterArn"].rsplit("/", 1)[1]: (one["reconciled"] or {}).get("states", {})
            for one in status["clusters"]
        }
        if all(sum(counts.values()) == 5 and not counts.get("pending") for counts in states.values()):
            return states
        for cluster in states:
            arn = f"arn:aws:eks:eu-west-1:111122223333:cluster/{cluster}"
            invoke("reconcile", {"clusterArn": arn})
        time.sleep(0.25)
    raise AssertionError(f"never settled: {states}")


def picture(name, url, width, height):
    path = FOLDER / f"{name}.png"
    chromium(url, f"--window-size={width},{height}", f"--screenshot={path}")
    assert path.stat().st_size > 20_000, f"{path} is nearly empty"
    print(f"  {path}")


def wrapped(theme):
    """What CloudWatch gets, with nothing but a ground around it, and without a policy of content."""
    ground = "#0f1b2a" if theme == "dark" else "#ffffff"
    path = FOLDER / f"dashboard-{theme}.html"
    body = (FOLDER / f"full-{theme}.html").read_text()
    path.write_text(
        f"<!DOCTYPE html><html><head><meta charset=\"utf-8\"></head><body style=\"background:{ground};margin:0\">{body}</body></html>"
    )
    return path.as_uri()


bind("svc-etl", "etl", actor=EVIL, reason=EVIL)
bind("svc-report", "report", actor="ada")
bind("svc-train", "train", actor="ada", reason="a new model")
bind("svc-legacy", "untrusted-legacy", actor="grace")
bind("svc-warehouse", "warehouse")
states = settled()
for cluster in states:
    invoke("workloads", {"clusterArn": f"arn:aws:eks:eu-west-1:111122223333:cluster/{cluster}"})

light, dark = look(PAGE), look(PAGE + "?theme=dark")
for document in (light, dark):
    has(document, "Pod identities of local", "5service accounts bound", f"{len(states)}clusters registered")
    has(document, EVIL, "svc-etl", "ada", ROLE + "train", "svc-legacy", "trust", "svc-warehouse")
    for cluster, counts in states.items():
        words = ", ".join(f"{counts.get(state, 0)} {state}" for state in ("ready", "blocked", "pending", "waiting"))
        has(document, cluster, "bindings: " + words)
    blocked = sum(counts.get("blocked", 0) for counts in states.values())
    has(document, f"{blocked}bindings blocked")
    assert document.tags.count("svg") >= 2 * len(states), "a bar and a gauge for each cluster"
classes = [" ".join(v for n, v in one.attributes if n == "class") for one in (light, dark)]
assert "dpi-light" in classes[0] and "dpi-dark" in classes[1]
links = {value for name, value in light.attributes if name == "href"}
assert "explain?serviceAccount=svc-etl&theme=light" in links, links
explained = look(PAGE + "explain?serviceAccount=svc-etl")
has(explained, "nothing is seen that keeps svc-etl from working on amber, blue, green", EVIL)
assert "pre" in explained.tags, explained.tags

print("The page shows the ledger's numbers, and markup that somebody wrote is text. Pictures:")
picture("light", PAGE, 1400, 1500)
picture("dark", PAGE + "?theme=dark", 1400, 1500)
for theme in ("light", "dark"):
    url = wrapped(theme)
    document = look(url)
    has(document, "214service accounts bound", "61 %", "93 %", "131 of 214 bindings ready", "And 13 more")
    has(document, '<script>alert("1")</script>\'><img src=x onerror=alert(2)>&lt;')
    picture(f"dashboard-{theme}", url, 1400, 1150)
picture("dashboard-narrow", wrapped("light"), 500, 1900)
