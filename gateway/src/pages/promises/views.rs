//! Every view in every state, with one text wherever others write.

use std::time::Duration;

use askama::Template;

use crate::pages::{
    account::{self, Account, Connection, Notice},
    application::Application,
    consent::{self, Consent},
    destination::Destination,
    device::{self, DeviceConfirm, DeviceDone, DeviceEntry, Outcome},
    form::Form,
    link::Link,
    message::Message,
    passkey::{self, PasskeyEntry, PasskeyFresh},
    scope::Scope,
    sign_in::{self, Provider, SignIn},
    signed_out::SignedOut,
};

type Pages = Vec<(&'static str, String)>;

const WAIT: Duration = Duration::from_secs(90);

pub(super) fn every_view(text: &str) -> Pages {
    let odd = format!("https://acme.example/{text}?{text}#{text}");
    let link = &Link::https(&odd).unwrap();
    let hidden = [("hidden-field", text), (text, text)];
    let form = Form {
        action: text,
        csrf: text,
        hidden: &hidden,
    };
    let application = Application {
        name: text,
        description: Some(text),
        homepage: Some(link),
        logo: Some(link),
    };
    [
        sign_in(text, form, link),
        consent(text, form, application),
        device(text, form, application),
        passkey(text, form, application, link),
        account(text, form),
        others(text, link),
    ]
    .concat()
}

fn sign_in(text: &str, form: Form<'_>, link: &Link) -> Pages {
    use sign_in::Problem;
    let providers = [Provider {
        name: text,
        title: text,
    }; 2];
    let page = |local, providers, problem, application| {
        let view = SignIn {
            brand: text,
            application,
            local,
            form,
            username: text,
            provider_form: form,
            providers,
            problem,
            back: Some((text, link)),
        };
        view.render().unwrap()
    };
    vec![
        ("sign in", page(true, &providers[..], None, Some(text))),
        ("sign in, alone", page(true, &[], None, None)),
        (
            "sign in, providers",
            page(false, &providers[..], None, Some(text)),
        ),
        ("sign in, nobody", page(false, &[], None, None)),
        (
            "sign in, refused",
            page(true, &[], Some(Problem::Refused), Some(text)),
        ),
        (
            "sign in, throttled",
            page(true, &[], Some(Problem::Throttled { wait: WAIT }), None),
        ),
        (
            "sign in, provider",
            page(false, &providers[..], Some(Problem::Provider), None),
        ),
        (
            "sign in, expired",
            page(true, &[], Some(Problem::Expired), None),
        ),
    ]
}

fn scopes(text: &str) -> [Scope<'_>; 4] {
    let scope = |marked| Scope {
        name: text,
        title: text,
        sensitive: marked,
        destructive: marked,
        granted: marked,
    };
    [scope(true), scope(false), scope(true), scope(false)]
}

fn consent(text: &str, form: Form<'_>, application: Application<'_>) -> Pages {
    let bare = Application {
        description: None,
        homepage: None,
        logo: None,
        ..application
    };
    let destination = &Destination::parse("com.example.app:/callback").unwrap();
    let page = |application, scopes, problem| {
        let view = Consent {
            brand: text,
            application,
            user: text,
            sign_out: form,
            form,
            scopes,
            destination,
            problem,
        };
        view.render().unwrap()
    };
    let unticked = Some(consent::Problem::NothingTicked);
    vec![
        ("consent", page(application, &scopes(text)[..], None)),
        ("consent, bare", page(bare, &[], None)),
        (
            "consent, nothing ticked",
            page(bare, &scopes(text)[..], unticked),
        ),
    ]
}

fn device(text: &str, form: Form<'_>, application: Application<'_>) -> Pages {
    use device::Problem;
    let entry = |problem| {
        DeviceEntry {
            brand: text,
            form,
            code: text,
            problem,
        }
        .render()
        .unwrap()
    };
    let confirm = |problem| {
        let view = DeviceConfirm {
            brand: text,
            application,
            code: text,
            user: text,
            sign_out: form,
            form,
            scopes: &scopes(text),
            problem,
        };
        view.render().unwrap()
    };
    let done = |outcome| {
        DeviceDone {
            brand: text,
            application: text,
            outcome,
        }
        .render()
        .unwrap()
    };
    vec![
        ("device", entry(None)),
        ("device, unknown", entry(Some(Problem::Unknown))),
        ("device, expired", entry(Some(Problem::Expired))),
        (
            "device, throttled",
            entry(Some(Problem::Throttled { wait: WAIT })),
        ),
        ("device confirm", confirm(None)),
        (
            "device confirm, nothing ticked",
            confirm(Some(consent::Problem::NothingTicked)),
        ),
        ("device, approved", done(Outcome::Approved)),
        ("device, denied", done(Outcome::Denied)),
    ]
}

fn passkey(text: &str, form: Form<'_>, application: Application<'_>, link: &Link) -> Pages {
    use passkey::Problem;
    let destination = &Destination::parse("https://acme.example/callback").unwrap();
    let entry = |account, problem| {
        let view = PasskeyEntry {
            brand: text,
            application,
            scopes: &scopes(text),
            form,
            account,
            destination,
            problem,
        };
        view.render().unwrap()
    };
    let fresh = PasskeyFresh {
        brand: text,
        passkey: text,
        lifetime: WAIT,
        expires: 0,
        account: link,
    };
    vec![
        ("passkey", entry(Some(link), None)),
        ("passkey, refused", entry(None, Some(Problem::Refused))),
        (
            "passkey, throttled",
            entry(None, Some(Problem::Throttled { wait: WAIT })),
        ),
        ("passkey, fresh", fresh.render().unwrap()),
    ]
}

fn account(text: &str, form: Form<'_>) -> Pages {
    use account::Problem;
    let titles = [text; 3];
    let connection = |last_used, scopes| Connection {
        name: text,
        since: 0,
        last_used,
        scopes,
        disconnect: form,
    };
    let connections = [
        connection(None, &titles[..1]),
        connection(Some(1), &titles[..]),
        connection(None, &[]),
    ];
    let page = |connections, notice, problem, some| {
        let view = Account {
            brand: text,
            user: text,
            notice,
            connections,
            make_passkey: some,
            change_password: some,
            password_min: 12,
            problem,
            sign_out: form,
            sign_out_everywhere: form,
        };
        view.render().unwrap()
    };
    let some = Some(form);
    vec![
        ("account", page(&connections[..], None, None, some)),
        ("account, bare", page(&[], None, None, None)),
        (
            "account, disconnected",
            page(&[], Some(Notice::Disconnected(text)), None, some),
        ),
        (
            "account, changed",
            page(&[], Some(Notice::PasswordChanged), None, some),
        ),
        (
            "account, wrong",
            page(&[], None, Some(Problem::WrongPassword), some),
        ),
        (
            "account, short",
            page(&[], None, Some(Problem::TooShort), some),
        ),
        (
            "account, long",
            page(&[], None, Some(Problem::TooLong), some),
        ),
        (
            "account, own name",
            page(&[], None, Some(Problem::OwnName), some),
        ),
        (
            "account, throttled",
            page(&[], None, Some(Problem::Throttled { wait: WAIT }), some),
        ),
        (
            "account, common",
            page(&[], None, Some(Problem::TooCommon), some),
        ),
        (
            "account, different",
            page(&[], None, Some(Problem::Different), some),
        ),
    ]
}

fn others(text: &str, link: &Link) -> Pages {
    let message = |request_id, back| {
        Message {
            brand: text,
            heading: text,
            text,
            request_id,
            back,
        }
        .render()
        .unwrap()
    };
    let signed_out = |sign_in| {
        SignedOut {
            brand: text,
            sign_in,
        }
        .render()
        .unwrap()
    };
    vec![
        ("message", message(Some(text), Some((text, link)))),
        ("message, bare", message(None, None)),
        ("signed out", signed_out(Some(link))),
        ("signed out, bare", signed_out(None)),
    ]
}
