#!/usr/bin/env python3
"""--ssh against real sshds with throw-away keys: one host on this machine, two hosts in namespaces, and what fails."""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import PATH, PROGRAM, SHORT, Folder, Nodes, main, read, rows, sh  # noqa: E402

FAST = ["--test", "send_lat", "--size", "8", *SHORT]
LONG = ["--test", "send_lat", "--size", "8,16,32", "--duration", "3"]


def await_true(what, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return False


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Sshd(Folder):
    """An sshd on a port of its own; nothing of ~/.ssh is read or written."""

    def setUp(self):
        super().setUp()
        for program in ("sshd", "ssh", "ssh-keygen"):
            if not shutil.which(program, path=PATH):
                self.skipTest(f"{program} is not installed (packages openssh-server, openssh-client)")
        if os.geteuid() != 0:
            self.skipTest("an sshd for tests needs root")
        os.makedirs("/run/sshd", exist_ok=True)
        for key in ("host", "user", "stranger"):
            sh(f"ssh-keygen -q -t ed25519 -N '' -f {self.folder}/{key}")
        shutil.copy(self.folder + "/user.pub", self.folder + "/authorized")
        # The program as the other node has it: it notes each of its lives.
        self.remote = self.script("remote-fabmark", f'echo "$$ $1" >> {self.folder}/lives; exec {PROGRAM} "$@"')
        self.config = []

    def script(self, name, body):
        path = f"{self.folder}/{name}"
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o755), "w") as file:
            file.write("#!/bin/sh\n" + body + "\n")
        return path

    def lives(self, command):
        """Process ids of the remote program's runs of this command."""
        try:
            return [int(line.split()[0]) for line in read(self.folder + "/lives").splitlines() if line.split()[1] == command]
        except OSError:
            return []

    def sshd(self, alias, address, port, *lines, prefix=()):
        """Starts one that the client knows by this name."""
        path = f"{self.folder}/sshd-{alias}"
        with open(path, "w") as file:
            file.write("\n".join([f"Port {port}", f"ListenAddress {address}", f"HostKey {self.folder}/host",
                                  f"AuthorizedKeysFile {self.folder}/authorized", "StrictModes no", "UsePAM no",
                                  "PermitRootLogin prohibit-password", "PasswordAuthentication no", "PidFile none",
                                  *lines]) + "\n")
        open(path + ".log", "w").close()
        server = subprocess.Popen([*prefix, shutil.which("sshd", path=PATH), "-D", "-f", path, "-E", path + ".log"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(server)
        host_key = " ".join(read(self.folder + "/host.pub").split()[:2])
        with open(self.folder + "/known", "a") as file:
            file.write(f"key-of-{alias} {host_key}\n")
        self.config += [f"Host {alias}", f" HostName {address}", f" Port {port}", f" HostKeyAlias key-of-{alias}"]
        self.write_config()
        self.assertTrue(await_true(lambda: "listening" in read(path + ".log")), "sshd does not start")

    def write_config(self, user="user"):
        with open(self.folder + "/ssh_config", "w") as file:
            file.write("\n".join([*self.config, "Host *", " User root", f" IdentityFile {self.folder}/{user}",
                                  " IdentitiesOnly yes", f" UserKnownHostsFile {self.folder}/known",
                                  " StrictHostKeyChecking yes", " GSSAPIAuthentication no"]) + "\n")

    def ways(self, program=None):
        return ["--ssh-command", f"ssh -F {self.folder}/ssh_config", "--remote-program", program or self.remote]

    def assertGone(self, command, seconds=15):
        found = self.lives(command)
        self.assertTrue(found, "it was never there")
        self.assertTrue(await_true(lambda: not any(running(pid) for pid in found), seconds), f"{command} lives on")

    def await_rows(self, count):
        """Until results.csv has so many rows; its path."""
        files = []

        def there():
            files[:] = glob.glob(self.folder + "/fabmark-results/*/results.csv")
            return files and read(files[0]).count("\n") > count
        self.assertTrue(await_true(there, 60), "no row came")
        return files[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class OneHost(Sshd):
    def setUp(self):
        super().setUp()
        self.sshd("nodeB", "127.0.0.1", free_port())
        self.port = str(free_port())

    def pair(self, *arguments, host="nodeB", status=0, ways=None, timeout=60):
        return self.run_program("pair", "--ssh", host, "--port", self.port, *(ways or self.ways()), *(arguments or FAST),
                                status=status, timeout=timeout)

    def failing(self, *arguments, seconds=30, **options):
        begin = time.monotonic()
        err = self.pair(*arguments, status=3, **options).err
        self.assertLess(time.monotonic() - begin, seconds)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("fabmark: "), err)
        self.assertFalse(os.path.exists(self.folder + "/fabmark-results"), "a run without rows leaves no folder")
        return err

    def test_success(self):
        process = self.pair()
        path = self.await_rows(1)
        self.assertEqual([(r["test"], r["status"]) for r in rows(read(path))], [("send_lat", "ok")])
        self.assertIn("send_lat", process.out)
        self.assertGone("serve", 5)
        run = json.loads(read(os.path.dirname(path) + "/run.json"))
        self.assertEqual(run["options"]["ssh"], "nodeB")

    def test_the_program_is_found_where_ours_is(self):
        self.pair(ways=["--ssh-command", f"ssh -F {self.folder}/ssh_config"])

    def test_rows_on_stdout_are_all_of_it(self):
        process = self.pair(*FAST, "--csv", "-", "--out", "none", "--quiet")
        self.assertEqual([r["status"] for r in rows(process.out)], ["ok"])
        self.assertEqual(process.err, "")

    def test_the_token_is_nobody_elses(self):
        client = self.start("pair", "--ssh", "nodeB", "--port", self.port, *self.ways(), *LONG)
        self.await_rows(1)
        pid = self.lives("serve")[0]
        words = read(f"/proc/{pid}/cmdline").split("\0")
        self.assertEqual(words[words.index("--token-file") + 1], "-")
        self.assertNotIn("FABMARK_TOKEN", read(f"/proc/{pid}/environ"))
        for line in read(f"/proc/{client.pid}/environ").split("\0"):
            self.assertFalse(line.startswith("FABMARK_TOKEN"))
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=20)

    def test_a_port_that_is_taken(self):
        with socket.socket(socket.AF_INET6) as taken:
            taken.bind(("::", int(self.port)))
            taken.listen()
            self.pair(*FAST, "--out", "none")

    def test_what_a_login_script_prints_does_not_matter(self):
        self.sshd("chatty", "127.0.0.1", free_port(), 'ForceCommand echo Welcome; echo 1234; sh -c "$SSH_ORIGINAL_COMMAND"')
        self.pair(host="chatty")

    def test_an_address_of_its_own(self):
        process = self.pair(*FAST, "--csv", "-", host="nodeB=127.0.0.77")
        self.assertIn("127.0.0.77", process.err)

    def test_another_launcher(self):
        # Not called ssh, it gets HOST and the command alone.
        launcher = self.script("launch", f'echo "$#" > {self.folder}/words; shift; exec sh -c "$*"')
        self.pair(host="127.0.0.1", ways=["--ssh-command", launcher, "--remote-program", self.remote])
        self.assertEqual(read(self.folder + "/words").strip(), "2")

    def test_again(self):
        self.pair()
        before = os.path.basename(glob.glob(self.folder + "/fabmark-results/*")[0])
        process = self.run_program("pair", "--again", "last")
        self.assertIn(f"repeating {before}", process.err)
        self.assertIn(f"against {before}", process.out)
        self.assertEqual(len(self.lives("serve")), 2)

    def test_unknown_host(self):
        err = self.failing(host="no-such-node.invalid")
        self.assertIn("no-such-node.invalid", err)
        self.assertIn("check the name", err)

    def test_refused_key(self):
        self.write_config("stranger")
        err = self.failing()
        self.assertIn("ssh to nodeB failed", err)
        self.assertIn("Permission denied", err)
        self.assertIn("ssh-add", err)
        self.assertNotIn(".;", err)

    def test_unknown_host_key(self):
        os.remove(self.folder + "/known")
        self.assertIn("host key", self.failing())

    def test_no_sshd(self):
        self.config = ["Host nodeB", " HostName 127.0.0.1", f" Port {free_port()}"]
        self.write_config()
        self.assertIn("no sshd listens", self.failing())

    def test_a_host_that_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.config = ["Host nodeB", " HostName 127.0.0.1", f" Port {silent.getsockname()[1]}"]
            self.write_config()
            self.assertIn("ssh to nodeB failed", self.failing(*FAST, "--connect-timeout", "1"))

    def test_no_ssh_here(self):
        self.assertIn("no-such-ssh", self.failing(ways=["--ssh-command", "no-such-ssh -v"]))

    def test_no_program_there(self):
        err = self.failing(ways=self.ways("/no/such/fabmark"))
        self.assertIn("/no/such/fabmark", err)
        self.assertIn("--remote-program", err)

    def test_another_version_there(self):
        err = self.failing(ways=self.ways(self.script("old", "echo fabmark 0.0.1; exit 2")))
        self.assertIn("fabmark 0.0.1", err)
        self.assertIn("--remote-program", err)

    def test_a_login_script_without_end(self):
        # Nothing of what it prints may be taken for fabmark's words.
        self.sshd("endless", "127.0.0.1", free_port(), 'ForceCommand yes Welcome | head -300; sh -c "$SSH_ORIGINAL_COMMAND"')
        err = self.failing(host="endless")
        self.assertIn("login script", err)
        self.assertNotIn("Welcome", err)

    def test_a_launcher_that_fails(self):
        launcher = self.script("refuse", "echo no access today. >&2; exit 255")
        err = self.failing(ways=["--ssh-command", launcher + " -x"])
        self.assertIn(f"no access today; try '{launcher} -x nodeB true' by hand", err)

    def test_a_launcher_ends_with_what_it_started(self):
        # It execs nothing, and what it starts does not end with its input.
        launcher = self.script("stay", f"sleep 97 & echo $! > {self.folder}/child; wait")
        client = self.start("pair", "--ssh", "nodeB", "--ssh-command", launcher, *FAST)
        self.assertTrue(await_true(lambda: os.path.exists(self.folder + "/child") and read(self.folder + "/child").strip()))
        child = int(read(self.folder + "/child"))
        self.addCleanup(lambda: running(child) and os.kill(child, signal.SIGKILL))
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=30)
        self.assertTrue(await_true(lambda: not running(child)))

    def test_a_server_that_cannot_start(self):
        broken = self.script("broken", f'[ "$1" = --version ] && exec {PROGRAM} --version; echo fabmark: no luck today >&2; exit 3')
        err = self.failing(ways=self.ways(broken))
        self.assertIn("no luck today", err)
        self.assertIn("nodeB", err)

    def test_an_address_that_does_not_answer(self):
        err = self.pair(*FAST, "--connect-timeout", "2", host="nodeB=192.0.2.77", status=3).err
        self.assertIn("192.0.2.77", err)
        self.assertIn("--ssh nodeB=ADDRESS", err)
        self.assertIn(self.port, err)
        self.assertGone("serve")

    def test_usage(self):
        for arguments in (["--ssh", "-oProxyCommand=id"], ["--ssh", "x", "--local"], ["--ssh", "x", "--token-file", "y"],
                          ["--ssh", "x="], ["--ssh", "x", "--ssh-command", "ssh" + " -v" * 70], ["--ssh", ""],
                          ["--ssh", "x", "y", "--raw", "z"], ["--ssh", "x", "--ssh-command", " "]):
            err = self.run_program("pair", *arguments, status=2).err
            self.assertEqual(err.count("\n"), 1, err)

    def begun(self):
        client = self.start("pair", "--ssh", "nodeB", "--port", self.port, *self.ways(), *LONG)
        return client, self.await_rows(1)

    def test_killed_here(self):
        client, _ = self.begun()
        client.kill()
        self.assertGone("serve")

    def test_killed_before_anybody_came(self):
        client = self.start("pair", "--ssh", "nodeB=192.0.2.77", "--port", self.port, *self.ways(), "--connect-timeout", "60")
        self.assertTrue(await_true(lambda: self.lives("serve")))
        client.kill()
        self.assertGone("serve")

    def test_interrupted(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            client, path = self.begun()
            client.send_signal(number)
            _, err = client.communicate(timeout=20)
            self.assertEqual(client.returncode, status, err)
            self.assertEqual(rows(read(path))[0]["status"], "ok")
            self.assertGone("serve")
            shutil.rmtree(self.folder + "/fabmark-results")

    def test_interrupted_by_the_terminal(self):
        # Ctrl-C goes to the whole foreground group, ssh included; the session still ends in order.
        client = self.start("pair", "--ssh", "nodeB", "--port", self.port, *self.ways(), *LONG, start_new_session=True)
        path = self.await_rows(1)
        os.killpg(client.pid, signal.SIGINT)
        _, err = client.communicate(timeout=20)
        self.assertEqual(client.returncode, 130, err)
        self.assertEqual(rows(read(path))[-1]["reason_code"], "interrupted")
        self.assertGone("serve")

    def test_interrupted_while_starting(self):
        slow = self.script("slow", "sleep 30")
        client = self.start("pair", "--ssh", "nodeB", "--port", self.port, *self.ways(slow))
        time.sleep(1.5)
        client.send_signal(signal.SIGINT)
        _, err = client.communicate(timeout=20)
        self.assertEqual(client.returncode, 130, err)

    def test_killed_there(self):
        client, path = self.begun()
        os.kill(self.lives("serve")[0], signal.SIGKILL)
        _, err = client.communicate(timeout=20)
        self.assertEqual(client.returncode, 3, err)
        self.assertIn("peer_lost", [r["reason_code"] for r in rows(read(path))])


class ServeOnALeash(Folder):
    """The options of serve that --ssh is made of."""

    def test_token_on_stdin_and_its_end(self):
        reader, writer = os.pipe()
        server = subprocess.Popen([PROGRAM, "serve", "--token-file", "-", "--exit-on-eof", "--address", "127.0.0.1",
                                   "--port", "0", "--ready-fd", str(writer)], cwd=self.folder, env=self.env, text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[writer])
        self.processes.append(server)
        os.close(writer)
        server.stdin.write("a token on one line, of some length\nnot of it\n")
        server.stdin.flush()
        with os.fdopen(reader) as ready:
            port = ready.readline().strip()
        self.assertTrue(port)
        self.env["FABMARK_TOKEN"] = "a token on one line, of some length"
        self.run_program("pair", "127.0.0.1", "--port", port, "--out", "none", *FAST)
        self.assertIsNone(server.poll(), "it goes on while its input is open")
        server.stdin.close()
        self.assertTrue(await_true(lambda: server.poll() is not None, 10))
        self.assertEqual(server.returncode, 0)

    def test_short_token(self):
        server = subprocess.run([PROGRAM, "serve", "--token-file", "-", "--port", "0"], cwd=self.folder, env=self.env,
                                input="short\n", text=True, capture_output=True, timeout=20)
        self.assertEqual(server.returncode, 3)
        self.assertIn("standard input", server.stderr)


class TwoHosts(Sshd, Nodes):
    """A login node c that reaches a and b by links of its own; what is measured goes from a to b."""

    links = 2

    def setUp(self):
        super().setUp()
        self.name["c"] = f"fm{os.getpid()}c"
        sh(f"ip netns add {self.name['c']}")
        self.addCleanup(sh, f"ip netns del {self.name['c']}")
        for i, side in enumerate("ab"):
            sh(f"ip -n {self.name['c']} link add to{side} type veth peer name mgmt netns {self.name[side]}")
            sh(f"ip -n {self.name['c']} addr add 10.78.{i}.1/24 dev to{side}; ip -n {self.name['c']} link set to{side} up")
            sh(f"ip -n {self.name[side]} addr add 10.78.{i}.2/24 dev mgmt; ip -n {self.name[side]} link set mgmt up")
            self.sshd(f"node{side.upper()}", f"10.78.{i}.2", 22, prefix=self.on(side))
        self.hosts = ["--ssh", "nodeA", "nodeB=10.77.0.2"]

    def test_success(self):
        process = self.run_program("pair", *self.hosts, *self.ways(), "--test", "send_lat,send_bw", "--size", "8,64K",
                                   "--labels", "a=b c's", "--json", "rows.json", *SHORT, prefix=self.on("c"))
        path = self.await_rows(4)
        found = rows(read(path))
        self.assertEqual([(r["test"], r["node_a"], r["node_b"], r["device_a"], r["status"], r["labels"]) for r in found],
                         [(t, "node-a", "node-b", "eth0", "ok", "a=b c's") for t in ("send_lat",) * 2 + ("send_bw",) * 2])
        self.assertEqual({r["run_id"] for r in found}, {os.path.basename(os.path.dirname(path))})
        with open(self.folder + "/rows.json") as file:
            self.assertEqual([(r["test"], str(r["size_bytes"])) for r in json.load(file)],
                             [(r["test"], r["size_bytes"]) for r in found])
        run = json.loads(read(os.path.dirname(path) + "/run.json"))
        self.assertEqual((run["arguments"][:3], run["host"]), (["pair", "--ssh", "nodeA"], "nodeB=10.77.0.2"))
        self.assertEqual(run["rows"]["ok"], 4)
        self.assertIn("node-a to node-b: ", " ".join(process.out.split()))
        self.assertIn("measuring 4 points between node-a and node-b", process.err)
        for command in ("serve", "pair"):
            self.assertGone(command, 5)
        process = self.run_program("pair", "--again", "last", "--size", "8", prefix=self.on("c"))
        self.assertIn("against " + run["run_id"], process.out)

    def test_rails_and_failed_points(self):
        process = self.run_program("pair", *self.hosts, *self.ways(), "--rails", "each:eth0,eth1", "--transport", "tcp",
                                   "--test", "send_lat,read_lat", "--size", "8", "--csv", "-", *SHORT, prefix=self.on("c"),
                                   status=3)
        self.assertEqual([(r["test"], r["rail"], r["status"]) for r in rows(process.out)],
                         [("read_lat", "0", "failed"), ("read_lat", "1", "failed"), ("send_lat", "0", "ok"),
                          ("send_lat", "1", "ok")])

    def test_usage_of_the_other_end_comes_back(self):
        process = self.run_program("pair", *self.hosts, *self.ways(), *FAST, "--device", "eth7", prefix=self.on("c"), status=3)
        self.assertIn("eth7", process.err)
        self.assertFalse(os.path.exists(self.folder + "/fabmark-results"))

    def test_either_host_unknown(self):
        for hosts in (["nodeA", "nope.invalid"], ["nope.invalid", "nodeB"]):
            err = self.run_program("pair", "--ssh", *hosts, *self.ways(), *FAST, prefix=self.on("c"), status=3).err
            self.assertIn("nope.invalid", err)
            self.assertEqual(err.count("\n"), 1, err)

    def test_a_place_that_cannot_be_written(self):
        with open(self.folder + "/file", "w"):
            pass
        err = self.run_program("pair", *self.hosts, *self.ways(), *LONG, "--out", "file/here", prefix=self.on("c"),
                               status=3).err
        self.assertIn("file/here", err)
        for command in ("serve", "pair"):
            self.assertGone(command)

    def begun(self):
        client = self.start("pair", *self.hosts, *self.ways(), *LONG, prefix=self.on("c"))
        return client, self.await_rows(1)

    def test_interrupted(self):
        client, path = self.begun()
        client.send_signal(signal.SIGINT)
        _, err = client.communicate(timeout=30)
        self.assertEqual(client.returncode, 130, err)
        self.assertIn("interrupted by SIGINT", err)
        self.assertNotIn("SIGTERM", err, "that one is ours to the measuring end")
        found = rows(read(path))
        self.assertEqual([found[0]["status"], found[-1]["reason_code"]], ["ok", "interrupted"])
        for command in ("serve", "pair"):
            self.assertGone(command)

    def test_killed_here(self):
        client, _ = self.begun()
        client.kill()
        for command in ("serve", "pair"):
            self.assertGone(command)

    def test_measuring_end_killed(self):
        client, path = self.begun()
        os.kill(self.lives("pair")[0], signal.SIGKILL)
        _, err = client.communicate(timeout=30)
        self.assertEqual(client.returncode, 3, err)
        self.assertIn("lost nodeA", err)
        found = rows(read(path))
        self.assertEqual([(r["size_bytes"], r["status"], r["reason_code"]) for r in found],
                         [("8", "ok", ""), ("16", "failed", "peer_lost"), ("32", "skipped", "peer_lost")])
        self.assertIn("lost nodeA", found[1]["reason"])
        self.assertIs(json.loads(read(os.path.dirname(path) + "/run.json"))["finished"], False)
        self.assertGone("serve")

    def test_measuring_end_hangs(self):
        client, path = self.begun()
        pid = self.lives("pair")[0]
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: running(pid) and os.kill(pid, signal.SIGKILL))
        _, err = client.communicate(timeout=60)
        self.assertEqual(client.returncode, 3, err)
        self.assertIn("lost nodeA: not a sign of life", err)
        self.assertEqual([(r["status"], r["reason_code"]) for r in rows(read(path))],
                         [("ok", ""), ("failed", "peer_lost"), ("skipped", "peer_lost")])
        self.assertGone("serve")

    def test_an_address_without_a_way(self):
        process = self.run_program("pair", "--ssh", "nodeA", "nodeB=192.0.2.77", *self.ways(), *FAST, "--connect-timeout", "2",
                                   prefix=self.on("c"), status=3)
        self.assertIn("192.0.2.77", process.err)
        self.assertIn("HOST2=ADDRESS", process.err)

    def test_serving_end_killed(self):
        client, path = self.begun()
        os.kill(self.lives("serve")[0], signal.SIGKILL)
        _, err = client.communicate(timeout=30)
        self.assertEqual(client.returncode, 3, err)
        self.assertIn("peer_lost", [r["reason_code"] for r in rows(read(path))])
        self.assertGone("pair")


if __name__ == "__main__":
    main()
