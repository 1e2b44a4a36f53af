#!/usr/bin/env python3
"""kill -9 and simulated power loss of the real `naru serve`, against a journal of acknowledgements kept outside.

A round: load for a random time, strike, open again, hold the journal against the log. Every fifth round strikes
once or twice more during the recovery. Every tenth round `naru fsck` runs on what the strike left, before
anything else opens it, and everything ever acknowledged is checked, and `naru audit --from` an old checkpoint.

kill:  SIGKILL; the page cache survives.
power: the data lies on an ext4 in a loop file. SIGSTOP; once no thread can run another instruction of its own,
       EXT4_IOC_SHUTDOWN(NOLOGFLUSH) drops all that was not synced; then SIGKILL, unmount, mount (its journal is
       replayed). It models all of a power loss but the drive's own cache. Every acknowledgement counts.
       The stop is needed: an fdatasync under way during the shutdown may answer 0 though its data is gone (Linux 6.18,
       a plain file: 5 of 120 cuts), and a process that lives on acknowledges on it. Power takes both at once.

Journal, keys and anchor lie outside the file system that loses its power, as they do in production.
"""
import argparse, base64, fcntl, json, os, pathlib, random, re, select, shutil, signal, struct, subprocess, sys
import tempfile, time, urllib.error, urllib.request

EXT4_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2
ORIGIN = "durability.test/log"
OPEN_PATIENCE = 30.0
WINDOW = 3  # rounds whose acknowledgements are checked each time; every tenth round all are


def run(*command, check=True, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Disk:
    """An ext4 in a loop file, whose power can be cut."""

    def __init__(self, folder):
        self.image, self.mount, self.loop = folder / "disk.img", folder / "disk", None
        self.mount.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(3 << 30)
        run("mkfs.ext4", "-q", "-F", self.image)
        self.loop = run("losetup", "-f", "--show", self.image).stdout.strip()
        run("mount", "-t", "ext4", self.loop, self.mount)

    def cut(self):
        handle = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(handle)

    def mount_again(self):
        for _ in range(100):
            if run("umount", self.mount, check=False).returncode == 0:
                break
            time.sleep(0.05)
        run("mount", "-t", "ext4", self.loop, self.mount)

    def remove(self):
        if self.loop:
            run("umount", self.mount, check=False)
            run("losetup", "-d", self.loop, check=False)
        self.image.unlink(missing_ok=True)


def why_no_power():
    """Why power cannot be cut here, or None: tried on a small disk."""
    if os.geteuid() != 0:
        return "cutting the power of a file system needs root"
    for tool in ("mkfs.ext4", "losetup", "mount"):
        if not shutil.which(tool):
            return f"`{tool}` is missing"
    with tempfile.TemporaryDirectory(prefix="naru-power-") as folder:
        disk = None
        try:
            disk = Disk(pathlib.Path(folder))
            disk.cut()
        except (SystemExit, OSError) as error:
            return f"no loop device with an ext4 that can be shut down: {error}"
        finally:
            if disk:
                disk.remove()


def state(task):
    """One letter of a thread: T stopped, D inside a system call that nothing interrupts."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


class Server:
    """`naru serve` in a process of its own."""

    def __init__(self, log):
        self.errors = open(log.work / "serve.err", "w+b")
        self.began = time.monotonic()
        self.url, self.open_ms = None, None
        command = [log.naru, "serve", "--config", str(log.config), "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, env=log.environment)

    def wait(self):
        """Waits until it listens; answers why it does not, if it does not."""
        line, limit = b"", self.began + OPEN_PATIENCE
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, limit - time.monotonic()))
            if not ready:
                return f"does not listen within {OPEN_PATIENCE:.0f} s"
            more = os.read(self.process.stdout.fileno(), 4096)
            if not more:
                code = self.process.wait()
                return f"exit {code}: {self.said()}"
            line += more
        self.open_ms = (time.monotonic() - self.began) * 1000
        self.url = line.decode().strip().removeprefix("listening on ")
        try:
            urllib.request.urlopen(self.url + "/readyz", timeout=10).read()
        except urllib.error.HTTPError as error:
            return f"writes refused: {json.load(error).get('reason')}: {self.said()}"
        return None

    def said(self):
        self.errors.seek(0)
        return re.sub(r"\x1b\[[0-9;]*m", "", self.errors.read().decode(errors="replace")).strip()[-400:]

    def freeze(self):
        """No thread runs code of its own from here on: each is stopped, or will be when its system call returns."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        limit = time.monotonic() + 5
        while not all(state(task) in "TtDZX" for task in tasks.iterdir()):
            if time.monotonic() > limit:
                raise SystemExit("the service does not stop on SIGSTOP")

    def end(self, how=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code


class Load:
    """The load generator; its lines go into the journal, synced, before anything else happens to them."""

    def __init__(self, log, seed, journal):
        self.process = subprocess.Popen([log.load, "load", str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.journal, self.rest, self.whole = journal, b"", []
        assert self.process.stdout.readline() == b"READY\n"
        os.set_blocking(self.process.stdout.fileno(), False)

    def aim(self, url):
        self.process.stdin.write(url.encode() + b"\n")
        self.process.stdin.close()

    def read(self, seconds):
        """Journals what arrives within so many seconds; False at the end."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            return True
        data = self.process.stdout.read()
        if data:
            lines, mark, self.rest = (self.rest + data).rpartition(b"\n")
            self.journal.write(lines + mark)
            self.journal.flush()
            os.fsync(self.journal.fileno())
        return data is None or len(data) > 0

    def finish(self):
        """Journals the rest, until it has noticed that the service is gone."""
        limit = time.monotonic() + 20
        while self.read(0.5):
            if time.monotonic() > limit:
                self.process.kill()
        self.process.stdout.close()
        self.process.wait()


class Log:
    """One log on one disk: its files, its journal, and the way to begin it anew."""

    def __init__(self, args, mode, work):
        self.naru, self.load, self.work, self.mode = args.naru, args.load, work, mode
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C", "NARU_LOG": "warn", "NARU_TICK_MS": "50"}
        if args.engine == "sled":
            self.environment |= {"NARU_STORE_ENGINE": "sled", "NARU_STORE_DANGER_ACCEPT_POWER_LOSS": "true"}
        self.disk = Disk(work) if mode == "power" else None
        home = work / "log"
        self.anchor, self.pristine = work / "anchor", work / "pristine"
        run(self.naru, "keygen", "--out", work / "pipc.pem", env=self.environment)
        run(self.naru, "init", "--dir", home, "--origin", ORIGIN, "--regulator", f"pipc={work}/pipc.pub.pem",
            "--grain-ms", 20, "--anchor", self.anchor, env=self.environment)
        self.vkey, self.config = home / "log.vkey", home / "naru.toml"
        self.data = (self.disk.mount if self.disk else work) / "data"
        shutil.move(home / "data", self.pristine)
        shutil.copy(self.anchor, work / "pristine-anchor")
        self.config.write_text(self.config.read_text().replace('"data"', json.dumps(str(self.data))))
        self.begin()

    def begin(self):
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.copytree(self.pristine, self.data)
        shutil.copy(self.work / "pristine-anchor", self.anchor)
        os.sync()
        shutil.rmtree(self.work / "journal", ignore_errors=True)
        (self.work / "journal").mkdir()

    def journals(self):
        return sorted((self.work / "journal").iterdir())

    def verify(self, url, journals):
        done = run(self.load, "verify", url, self.vkey, *journals, check=False, timeout=600)
        if done.returncode:
            return {"lost": 0, "wrong": 1, "findings": [f"verification failed: {done.stderr.strip()[-300:]}"]}
        return json.loads(done.stdout)


class Campaign:
    def __init__(self, args, mode, rounds, work):
        self.args, self.mode, self.rounds = args, mode, rounds
        self.random = random.Random(f"{args.seed}-{mode}")
        self.log = Log(args, mode, work)
        self.tally = {
            "mode": mode, "engine": args.engine, "seed": args.seed, "cores": os.cpu_count(), "rounds": 0,
            "recovery_strikes": 0, "logs": 1, "acked": 0, "tried": 0, "not_taken": 0,
            "lost": 0, "lost_rounds": 0, "wrong": 0, "refused": {}, "stopped_by_itself": 0, "checks": 0,
            "checkpoints": 0, "audits": 0, "fscks": 0, "max_open_ms": 0, "entries": 0, "findings": [],
        }
        self.server = None

    def finding(self, text):
        self.tally["findings"].append(f"round {self.tally['rounds']}: {text}")
        print(f"  {self.mode} round {self.tally['rounds']}: {text}", file=sys.stderr, flush=True)

    def strike(self):
        if self.log.disk:
            self.server.freeze()
            self.log.disk.cut()
        self.server.end()

    def load_and_strike(self, number):
        journal = self.log.work / "journal"
        with open(journal / f"acks-{number:05}", "ab") as acks:
            load = Load(self.log, self.args.seed * 1_000_000 + number, acks)
            load.aim(self.server.url)
            limit = time.monotonic() + self.random.uniform(0.05, 0.6)
            while time.monotonic() < limit and load.read(min(0.01, max(0.0, limit - time.monotonic()))):
                pass
            if self.server.process.poll() is not None:
                self.tally["stopped_by_itself"] += 1
                self.finding(f"the service ended by itself: {self.server.said()}")
            self.strike()
            load.finish()
        text = (journal / f"acks-{number:05}").read_bytes()
        self.tally["tried"] += sum(map(int, re.findall(rb"^TRY (\d+)$", text, re.M)))
        self.tally["not_taken"] += len(re.findall(rb"^NO ", text, re.M))
        self.tally["acked"] += len(re.findall(rb"^ACK ", text, re.M))

    def strike_recovery(self):
        for _ in range(self.random.randint(1, 2)):
            self.server = Server(self.log)
            time.sleep(self.random.uniform(0.002, 0.25))
            self.strike()
            self.remount()
            self.tally["recovery_strikes"] += 1

    def remount(self):
        if self.log.disk:
            self.log.disk.mount_again()

    def fsck(self):
        done = run(self.log.naru, "fsck", "--config", self.log.config, "--json", check=False,
                   env=self.log.environment, timeout=600)
        self.tally["fscks"] += 1
        if done.returncode:
            self.tally["wrong"] += 1
            self.finding(f"fsck, exit {done.returncode}: {(done.stdout + done.stderr).strip()[:600]}")

    def audit(self):
        seen = [line for path in self.log.journals() for line in path.read_bytes().splitlines() if line[:4] == b"SEEN"]
        older = self.log.work / "older"
        command = [self.log.naru, "audit", self.server.url, "--log-key", self.log.vkey]
        if seen:
            older.write_bytes(base64.b64decode(self.random.choice(seen)[5:]))
            command += ["--from", older]
        done = run(*command, check=False, env=self.log.environment, timeout=600)
        self.tally["audits"] += 1
        if done.returncode:
            self.tally["wrong"] += 1
            self.finding(f"audit, exit {done.returncode}: {(done.stdout + done.stderr).strip()[:600]}")

    def check(self, everything):
        journals = self.log.journals() if everything else self.log.journals()[-WINDOW:]
        found = self.log.verify(self.server.url, journals)
        self.tally["checks"] += found.get("checked", 0)
        self.tally["checkpoints"] += found.get("checkpoints", 0)
        self.tally["entries"] = found.get("size", 0)
        self.tally["lost"] += found["lost"]
        self.tally["lost_rounds"] += found["lost"] > 0
        self.tally["wrong"] += found["wrong"]
        if found["lost"] or found["wrong"]:
            self.finding(f"lost {found['lost']}, wrong {found['wrong']}: {json.dumps(found)}")
        return not found["lost"] and not found["wrong"]

    def control(self):
        """A check that cannot fail proves nothing: three lies in the journal must be found."""
        lines = [line.split(b" ") for line in b"".join(p.read_bytes() for p in self.log.journals()).splitlines()]
        ack = next((line for line in reversed(lines) if line[0] == b"ACK"), None)
        if ack is None:
            return
        other_bytes, no_promise = list(ack), list(ack)
        other_bytes[3] = b"00" * 32
        no_promise[1], no_promise[4] = str(int(ack[1]) - 1).encode(), ack[4][:-8] + b"AAAAAAA="
        beyond = [b"ACK", str(int(ack[1]) + 1_000_000).encode(), b"11" * 32, *ack[3:]]
        lies = self.log.work / "lies"
        for lie, word in ((other_bytes, "wrong"), (no_promise, "wrong"), (beyond, "lost")):
            lies.write_bytes(b" ".join(lie) + b"\n")
            if not self.log.verify(self.server.url, [lies])[word]:
                self.tally["wrong"] += 1
                self.finding(f"the check does not notice a journal that lies ({word}): it proves nothing")

    def open(self):
        """Opens the log again; a refusal is counted with its reason. False where the log was lost for good."""
        self.server = Server(self.log)
        why = self.server.wait()
        if why is None:
            self.tally["max_open_ms"] = max(self.tally["max_open_ms"], round(self.server.open_ms))
            return True
        key = re.match(r"writes refused: \w+|.{,100}", re.sub(r"\d+", "N", why)).group()
        self.tally["refused"][key] = self.tally["refused"].get(key, 0) + 1
        self.finding(f"refused: {why}")
        return False

    def begin_again(self):
        self.server.end()
        self.log.begin()
        self.tally["logs"] += 1
        if not self.open():
            raise SystemExit("a new log does not open")

    def go(self, until):
        if not self.open():
            raise SystemExit("the new log does not open")
        for number in range(1, self.rounds + 1):
            if time.monotonic() > until:
                self.finding(f"out of time after {number - 1} of {self.rounds} rounds")
                break
            self.tally["rounds"] = number
            self.load_and_strike(number)
            self.remount()
            if number % 5 == 0:
                self.strike_recovery()
            tenth = number % 10 == 0 or number == self.rounds
            if tenth:
                self.fsck()
            opened = self.open()
            # A node that refuses to write still serves what it has: what is lost is counted there.
            sound = self.check(tenth) if self.server.url else False
            if not opened or not sound:
                self.begin_again()
            elif tenth:
                self.audit()
            if number % 10 == 0:
                short = {k: self.tally[k] for k in ("rounds", "acked", "lost", "wrong", "entries", "max_open_ms")}
                print(f"  {self.mode} {self.args.engine}: {json.dumps(short)}", file=sys.stderr, flush=True)
        self.control()
        if (code := self.server.end(signal.SIGTERM)) != 0:
            self.finding(f"an orderly stop ended with {code}")
        self.fsck()

    def sound(self):
        tally = self.tally
        return not (tally["lost"] or tally["wrong"] or tally["refused"]
                    or tally["stopped_by_itself"] or tally["rounds"] < self.rounds or not tally["acked"])

    def clear(self):
        if self.server:
            self.server.end()
        if self.log.disk:
            self.log.disk.remove()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--naru", required=True, help="the binary")
    parser.add_argument("--load", required=True, help="examples/durability_load, built")
    parser.add_argument("--short", action="store_true", help="10 kill and 6 power rounds")
    parser.add_argument("--kill", type=int, help="rounds of SIGKILL; default 100")
    parser.add_argument("--power", type=int, help="rounds of power loss; default 60")
    parser.add_argument("--seconds", type=float, default=3600.0, help="at most so long for each mode")
    parser.add_argument("--engine", choices=("fjall", "sled"), default="fjall")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="write the summary there too")
    parser.add_argument("--allow-missing-power", action="store_true", help="go on where power cannot be cut")
    args = parser.parse_args()
    defaults = (10, 6) if args.short else (100, 60)
    args.kill = defaults[0] if args.kill is None else args.kill
    args.power = defaults[1] if args.power is None else args.power
    return args


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results, good = [], True
    for mode, rounds in (("kill", args.kill), ("power", args.power)):
        if not rounds:
            continue
        if mode == "power" and (why := why_no_power()):
            print(f"POWER LOSS WAS NOT TESTED: {why}", file=sys.stderr)
            results.append({"mode": mode, "engine": args.engine, "missing": why})
            good = good and args.allow_missing_power
            continue
        with tempfile.TemporaryDirectory(prefix="naru-durability-", ignore_cleanup_errors=True) as work:
            campaign = Campaign(args, mode, rounds, pathlib.Path(work))
            try:
                campaign.go(time.monotonic() + args.seconds)
            finally:
                campaign.clear()
            results.append(campaign.tally)
            good = good and campaign.sound()
    text = json.dumps(results, indent=1)
    print(text)
    if args.json:
        pathlib.Path(args.json).write_text(text + "\n")
    sys.exit(0 if good else 1)


main()
