"""The official client of PyPI, nacos-sdk-python, against a server: python.py PORT NAMESPACE [USER PASSWORD]

Exit status 0: everything is as the client expects it of Nacos. Prints the steps. The watcher of the client leaves a process
behind, which whoever runs this has to end.
"""
import os
import queue
import sys
import traceback

import nacos

DATA_ID, GROUP = "supervisord.conf", "DEFAULT_GROUP"
TEXTS = ["[program:web]\ncommand=/bin/web --title=%(program_name)s\n", "[program:x]\r\n; 配置 a+b=c&d 100%\r\n", "third"]


def check():
    port, namespace, *account = sys.argv[1:]
    username, password = account or (None, None)
    client = nacos.NacosClient(f"127.0.0.1:{port}", namespace=namespace, username=username, password=password,
                               logDir=os.getcwd())
    assert client.get_config(DATA_ID, GROUP) is None
    assert client.publish_config(DATA_ID, GROUP, "first") is True
    assert client.get_config(DATA_ID, GROUP) == "first"
    print("published", flush=True)
    told = queue.Queue()
    client.add_config_watcher(DATA_ID, GROUP, lambda change: told.put(change["content"]))
    for text in TEXTS:
        assert client.publish_config(DATA_ID, GROUP, text) is True
        assert told.get(timeout=30) == text
        assert client.get_config(DATA_ID, GROUP) == text
        print("pushed:", len(text), flush=True)
    items = client.get_configs(no_snapshot=True, group=GROUP)["pageItems"]
    assert [(item["dataId"], item["content"]) for item in items] == [(DATA_ID, TEXTS[-1])], items
    assert client.remove_config(DATA_ID, GROUP) is True
    assert told.get(timeout=30) is None
    assert client.get_config(DATA_ID, GROUP) is None
    print("deleted: None", flush=True)
    assert told.empty()


if __name__ == "__main__":
    try:
        check()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    # The threads of the client do not end.
    os._exit(0)
