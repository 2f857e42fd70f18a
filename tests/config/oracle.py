"""Answers how the reference Supervisor parses configuration files. One JSON request and one JSON answer a line."""

import io
import json
import os
import sys

from supervisor import options
from supervisor.datatypes import Automatic, RestartUnconditionally, RestartWhenExitUnexpected


class Usage(Exception):
    pass


def parse(texts):
    parser = options.UnhosedConfigParser()
    try:
        for number, text in enumerate(texts):
            # Bytes through a text wrapper, so that line ends are handled as in a file.
            stream = io.TextIOWrapper(io.BytesIO(text.encode("utf-8")), encoding="utf-8")
            parser.read_file(stream, "f%d" % number)
    except Exception as error:
        return {"error": str(error)}
    return {
        "defaults": [[k, v] for k, v in parser._defaults.items()],
        "sections": [[n, [[k, v] for k, v in s.items()]] for n, s in parser._sections.items()],
    }


def expansion(case):
    try:
        return {"ok": options.expand(case["text"], dict(case["names"]), "place")}
    except Exception as error:
        return {"error": str(error)}


def environment(text):
    try:
        return {"ok": list(options.dict_of_key_value_pairs(text).items())}
    except Exception as error:
        return {"error": str(error)}


def logfile(value):
    if value is Automatic:
        return "AUTO"
    return value


def process(config):
    restart = {RestartUnconditionally: "Always", RestartWhenExitUnexpected: "Unexpected", False: "Never"}
    return {
        "name": config.name,
        "command": config.command,
        "directory": config.directory,
        "umask": config.umask,
        "priority": config.priority,
        "autostart": config.autostart,
        "autorestart": restart[config.autorestart],
        "startsecs": config.startsecs,
        "startretries": config.startretries,
        "exitcodes": config.exitcodes,
        "stopsignal": int(config.stopsignal),
        "stopwaitsecs": config.stopwaitsecs,
        "stopasgroup": config.stopasgroup,
        "killasgroup": config.killasgroup,
        "uid": config.uid,
        "redirect_stderr": config.redirect_stderr,
        "environment": sorted(config.environment.items()),
        "serverurl": config.serverurl,
        "streams": [
            [
                logfile(getattr(config, name + "_logfile")),
                getattr(config, name + "_logfile_maxbytes"),
                getattr(config, name + "_logfile_backups"),
                getattr(config, name + "_capture_maxbytes"),
                getattr(config, name + "_events_enabled"),
                getattr(config, name + "_syslog"),
            ]
            for name in ("stdout", "stderr")
        ],
    }


def group(config):
    # Like a running group: the last of several processes with one name wins; sorted by priority, then in the order of
    # the file.
    unique = {p.name: p for p in config.process_configs}
    answer = {
        "name": config.name.strip(),
        "priority": config.priority,
        "kind": type(config).__name__,
        "processes": [process(p) for p in sorted(unique.values(), key=lambda p: p.priority)],
    }
    if isinstance(config, options.EventListenerPoolConfig):
        from supervisor.events import EventTypes

        names = {getattr(EventTypes, n): n for n in dir(EventTypes) if n.isupper() and not n.startswith("_")}
        answer["events"] = sorted(names[e] for e in config.pool_events)
        answer["buffer_size"] = config.buffer_size
    if isinstance(config, options.FastCGIGroupConfig):
        sock = config.socket_config
        answer["socket"] = sock.url
        answer["backlog"] = sock.backlog
        if sock.url.startswith("unix:"):
            answer["mode"] = sock.mode
            answer["owner"] = [None if i == -1 else i for i in sock.owner or (None, None)]
    return answer


def server(config):
    answer = {k: config[k] for k in ("section",)}
    answer["credentials"] = [config["username"], config["password"]] if config["username"] else None
    if "port" in config:
        answer["address"] = [config["host"], config["port"]]
    else:
        owner = [None if i == -1 else i for i in config["chown"]]
        answer["address"] = [config["file"], config["chmod"]] + owner
    return answer


def load(case):
    os.chdir(case["cwd"])
    loaded = options.ServerOptions()
    loaded.stderr = io.StringIO()

    def usage(message):
        raise Usage(str(message))

    loaded.usage = usage
    try:
        loaded.realize(case["args"], doc="", progname="supervisord")
    except Usage as error:
        return {"error": str(error)}
    except Exception as error:
        return {"crash": "%s: %s" % (type(error).__name__, error)}
    groups, names = [], set()
    for config in loaded.process_group_configs:
        if config.name not in names:
            names.add(config.name)
            groups.append(group(config))
    return {
        "daemon": {
            "logfile": loaded.logfile,
            "logfile_maxbytes": loaded.logfile_maxbytes,
            "logfile_backups": loaded.logfile_backups,
            "loglevel": loaded.loglevel,
            "pidfile": loaded.pidfile,
            "umask": int(loaded.umask, 8) if isinstance(loaded.umask, str) else loaded.umask,
            "nodaemon": bool(loaded.nodaemon),
            "silent": bool(loaded.silent),
            "minfds": loaded.minfds,
            "minprocs": loaded.minprocs,
            "nocleanup": bool(loaded.nocleanup),
            "childlogdir": loaded.childlogdir,
            "uid": loaded.uid,
            "directory": loaded.directory,
            "strip_ansi": bool(loaded.strip_ansi),
            "environment": sorted(loaded.configroot.supervisord.environment.items()),
            "identifier": loaded.identifier,
            "serverurl": loaded.serverurl,
        },
        "interfaces": [name for name, _, _ in loaded.rpcinterface_factories],
        "servers": [server(c) for c in loaded.server_configs],
        "groups": groups,
        "notes": loaded.parse_warnings + loaded.parse_infos,
    }


def client(case):
    os.chdir(case["cwd"])
    loaded = options.ClientOptions()
    loaded.stderr = io.StringIO()

    def usage(message):
        raise Usage(str(message))

    loaded.usage = usage
    try:
        loaded.realize(case["args"], doc="", progname="supervisorctl")
    except Usage as error:
        return {"error": str(error)}
    except Exception as error:
        # The client does not catch errors of the parser; the message is the same.
        return {"error": str(error)}
    return {name: getattr(loaded, name) for name in ("serverurl", "username", "password", "prompt", "history_file")}


def loaded(path):
    result = options.ServerOptions()
    result.realize(["-c", path], doc="", progname="supervisord")
    groups = {}
    for config in result.process_group_configs:
        groups.setdefault(config.name, config)
    return groups


def difference(case):
    os.chdir(case["cwd"])
    active, read = loaded("a.conf"), loaded("b.conf")
    for config in active.values():
        for number, process in enumerate(config.process_configs):
            # Active processes have generated names for their AUTO logs.
            for name in ("stdout_logfile", "stderr_logfile"):
                if getattr(process, name) is Automatic:
                    setattr(process, name, "/auto/%s-%d" % (name, number))
    return {
        "added": [name for name in read if name not in active],
        "changed": [name for name in read if name in active and read[name] != active[name]],
        "removed": [name for name in active if name not in read],
    }


ANSWERS = {
    "diff": difference,
    "parse": parse, "expand": expansion, "environment": environment, "load": load, "client": client,
}

for line in sys.stdin:
    request = json.loads(line)
    answer = [ANSWERS[request["what"]](case) for case in request["cases"]]
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
