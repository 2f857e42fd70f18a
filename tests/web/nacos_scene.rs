//! A daemon whose configuration is an item of a Nacos server that has earlier versions of it.

use crate::driver::Browser;
use crate::scene::{Scene, between, text};
use crate::support::daemon::Side;
use crate::support::nacos::{NacosSettings, NacosStub};

const DATAID: &str = "supervisord.conf";
const GROUP: &str = "DEFAULT_GROUP";
/// `user:password` for the header.
const LOGIN: &str = "Authorization: Basic dXNlcjpwYXNz";

fn program(name: &str, command: &str) -> String {
    format!("[program:{name}]\ncommand={command}\nstartsecs=0\n")
}

/// The daemon and its server.
pub(crate) struct NacosScene {
    pub(crate) scene: Scene,
    _stub: NacosStub,
    /// The address of the page of the first version.
    pub(crate) version: String,
}

impl NacosScene {
    pub(crate) fn start() -> Result<Self, String> {
        let stub = NacosStub::start(NacosSettings::default())?;
        let first = program("web", "/bin/sleep 1000") + &program("worker", "/bin/sleep 2000");
        let second = program("web", "/bin/sleep 3000")
            + "environment=DB=\"secret\"\n"
            + &program("mailer", "/bin/sleep 2000");
        stub.publish("", GROUP, DATAID, &first);
        let md5 = stub.publish("", GROUP, DATAID, &second);
        let hosts = [
            ("10.0.0.7", md5.as_str()),
            ("10.0.0.8", "0123456789abcdef0123456789abcdef"),
        ];
        stub.set_listeners("", GROUP, DATAID, &hosts);
        let config = format!(
            "username=user\npassword=pass\n[nacos]\nserver={}\ndataid={DATAID}\ncache_dir={{dir}}/cache\n",
            stub.address()
        );
        let scene = Scene::start(Side::Ours, &config)?;
        let list = text(&scene.get("/versions.html", &[LOGIN])?);
        let id = between(&list, "versions.html?id=", "\"").ok_or(list)?;
        Ok(Self {
            version: format!("versions.html?id={id}"),
            scene,
            _stub: stub,
        })
    }
}

/// Gives the browser the password of the page.
pub(crate) fn log_in(scene: &Scene, browser: &Browser) -> Result<(), String> {
    let port = scene.port;
    browser.go(&format!("http://user:pass@127.0.0.1:{port}/ok.html"))
}
