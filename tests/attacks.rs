//! What somebody tries who wants another's account: through the browser of
//! its owner, with an application of their own, or by guessing.

use serde_json::json;

use crate::{
    browser::add_user,
    gateway::Gateway,
    grants::{CALLBACK, application},
    harness::{Credentials, Site},
    upstream::Upstream,
};

mod browser;
mod guessing;
mod hostile;
mod theft;

const SESSION: &str = "__Host-flightgate-session";

const VISITOR: &str = "__Host-flightgate-visitor";

const LOGBOOK: &str = "/logbook/logbookuserauth/";

const WEB: &str = "authorization_code, refresh_token, device_code";

/// A gateway with two applications, `good` and `evil`, one for passkeys, and
/// Anna, to whom it says all that it can at level `debug`.
async fn running() -> (Upstream, Site, Gateway) {
    let upstream = Upstream::ok().await;
    let (site, gateway) = Site::running_with(upstream.address, |site| {
        site.config["profiles"]["logbook"] = json!({"pkce": "optional"});
        let surfaces = site.config["surfaces"].as_array_mut().unwrap();
        surfaces.push(json!({"logbook": {"base": "/logbook"}}));
        site.config["log"] = json!({"level": "debug,flightgate_gateway=trace"});
        let evil = "  redirectUris: [\"https://evil.example/cb\"]\n";
        for (name, grants, more) in [
            ("good", WEB, ""),
            ("evil", WEB, evil),
            ("log", "passkey", "  profile: logbook\n"),
        ] {
            site.manifest(name, &application(name, grants, more));
        }
    })
    .await;
    add_user(&site, "anna", &["--subject", "pilot:anna"]).await;
    (upstream, site, gateway)
}

fn sign_in_from(place: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("continue", place)
        .finish();
    format!("/sign-in?{query}")
}

fn logbook_request(client: &Credentials) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", &client.id)
        .append_pair("redirect_uri", CALLBACK)
        .finish();
    format!("{LOGBOOK}?{query}")
}
