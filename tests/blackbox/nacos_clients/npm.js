// The official client of npm, nacos-config, against a server: node npm.js PORT NAMESPACE [USER PASSWORD]
// Exit status 0: everything is as the client expects it of Nacos. Prints the steps.
'use strict';
const assert = require('assert');
const path = require('path');
// Without the wrapper NacosConfigClient, which shares one client among all processes of the host through a fixed port.
const { DataClient } = require('nacos-config');

const [port, namespace, username, password] = process.argv.slice(2);
const [dataId, group] = ['supervisord.conf', 'DEFAULT_GROUP'];
const texts = ['[program:web]\ncommand=/bin/web --title=%(program_name)s\n', '[program:x]\r\n; 配置 a+b=c&d 100%\r\n', 'third'];

const client = new DataClient({
    serverAddr: `127.0.0.1:${port}`,
    namespace: namespace || undefined,
    username,
    password,
    cacheDir: path.join(process.cwd(), 'cache'),
    requestTimeout: 1000,
});
const fail = error => {
    console.log('failed:', error.stack || error);
    process.exit(1);
};
client.on('error', fail);
process.on('unhandledRejection', fail);

// What the subscription was told, and who waits for the next of it.
const told = [];
let wake = () => {};
const next = async () => {
    while (told.length === 0) {
        await new Promise(resolve => { wake = resolve; });
    }
    return told.shift();
};

(async () => {
    assert.strictEqual(await client.getConfig(dataId, group), null);
    client.subscribe({ dataId, group }, text => { told.push(text); wake(); });
    assert.strictEqual(await next(), null);
    console.log('missing: null');
    for (const text of texts) {
        assert.strictEqual(await client.publishSingle(dataId, group, text), true);
        assert.strictEqual(await next(), text);
        assert.strictEqual(await client.getConfig(dataId, group), text);
        console.log('pushed:', text.length);
    }
    assert.strictEqual(await client.remove(dataId, group), true);
    assert.strictEqual(await next(), null);
    assert.strictEqual(await client.getConfig(dataId, group), null);
    console.log('deleted: null');
    assert.strictEqual(told.length, 0);
    process.exit(0);
})().catch(fail);
