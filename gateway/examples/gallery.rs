//! Writes every page as an HTML file into a folder, to be looked at:
//!
//! ```text
//! cargo run -p flightgate-gateway --example gallery -- /tmp/gallery
//! python3 -m http.server --directory /tmp/gallery --bind 127.0.0.1
//! ```

use std::{error::Error, fs, path::Path, time::Duration};

use askama::Template;
use flightgate_gateway::pages::{
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
    style,
};

const BRAND: &str = "We Fly";
const LONG: &str =
    "Internationale Vereinigung der Segelflugdatenauswertungsgemeinschaften e.V. Süd";
const FORM: Form<'_> = Form {
    action: "/post",
    csrf: "c3f1",
    hidden: &[("continue", "/oauth/authorize?client_id=fg_app_1&state=x")],
};
const SEPTEMBER: u64 = 1_788_617_100;
const NOVEMBER: u64 = 1_795_312_000;

type Outcomes = Result<(), Box<dyn Error>>;

fn main() -> Outcomes {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("expected a folder to write to, such as /tmp/gallery")?;
    let folder = Path::new(&folder);
    let sheet = folder.join(style::path().trim_start_matches('/'));
    fs::create_dir_all(sheet.parent().unwrap_or(folder))?;
    fs::write(sheet, style::CSS)?;
    let mut names = Vec::new();
    let mut write = |name: &str, page: String| {
        names.push(format!("<li><a href=\"{name}.html\">{name}</a></li>"));
        fs::write(folder.join(format!("{name}.html")), page)
    };
    sign_in(&mut write)?;
    consent(&mut write)?;
    device(&mut write)?;
    passkey(&mut write)?;
    account(&mut write)?;
    others(&mut write)?;
    fs::write(
        folder.join("index.html"),
        format!(
            "<!DOCTYPE html><title>Pages</title><ul>{}</ul>",
            names.concat()
        ),
    )?;
    Ok(())
}

trait Write: FnMut(&str, String) -> std::io::Result<()> {}
impl<F: FnMut(&str, String) -> std::io::Result<()>> Write for F {}

fn sign_in(write: &mut impl Write) -> Outcomes {
    let acme = Link::https("https://acme.example")?;
    let providers = [
        Provider {
            name: "club",
            title: "Gliding Club",
        },
        Provider {
            name: "fed",
            title: "National Federation",
        },
    ];
    let page = |application, local, providers, problem, username| SignIn {
        brand: BRAND,
        application,
        local,
        form: FORM,
        username,
        provider_form: FORM,
        providers,
        problem,
        back: application.map(|name| (name, &acme)),
    };
    let throttled = sign_in::Problem::Throttled {
        wait: Duration::from_secs(95),
    };
    write(
        "sign-in",
        page(Some("Acme Soaring"), true, &providers[..], None, "").render()?,
    )?;
    write(
        "sign-in-alone",
        page(None, true, &[], None, "ada").render()?,
    )?;
    write(
        "sign-in-providers",
        page(Some(LONG), false, &providers[..], None, "").render()?,
    )?;
    write(
        "sign-in-refused",
        page(
            Some("Acme Soaring"),
            true,
            &[],
            Some(sign_in::Problem::Refused),
            "ada",
        )
        .render()?,
    )?;
    write(
        "sign-in-throttled",
        page(Some("Acme Soaring"), true, &[], Some(throttled), "ada").render()?,
    )?;
    Ok(())
}

const SCOPES: [Scope<'_>; 12] = [
    scope("flights:read", "See your flights", false, false, true),
    scope(
        "flights:write",
        "Add flights to your logbook",
        false,
        false,
        false,
    ),
    scope("flights:delete", "Delete your flights", false, true, false),
    scope(
        "profile:read",
        "See your name and your club",
        false,
        false,
        true,
    ),
    scope("profile:write", "Change your profile", false, false, false),
    scope(
        "health:read",
        "See your medical certificate and when it ends",
        true,
        false,
        false,
    ),
    scope(
        "position:live",
        "Follow where you are while you fly, and show it to others whom you have not chosen yourself",
        true,
        false,
        false,
    ),
    scope(
        "aircraft:read",
        "See the aircraft that you fly",
        false,
        false,
        false,
    ),
    scope(
        "aircraft:write",
        "Change the aircraft that you fly",
        false,
        false,
        false,
    ),
    scope("crew:read", "See with whom you fly", true, false, false),
    scope(
        "documents:delete-permanently-including-backups",
        "Delete your documents for good",
        true,
        true,
        false,
    ),
    scope(
        "offline_access",
        "Do all of this while you are away",
        false,
        false,
        false,
    ),
];

const fn scope<'a>(
    name: &'a str,
    title: &'a str,
    sensitive: bool,
    destructive: bool,
    granted: bool,
) -> Scope<'a> {
    Scope {
        name,
        title,
        sensitive,
        destructive,
        granted,
    }
}

fn acme(homepage: &Link) -> Application<'_> {
    Application {
        name: "Acme Soaring",
        description: Some("Analyses your flights and compares them with those of your club."),
        homepage: Some(homepage),
        logo: None,
    }
}

fn consent(write: &mut impl Write) -> Outcomes {
    let homepage = Link::https("https://acme.example/about")?;
    let logo = Link::https("https://acme.example/logo.svg")?;
    let web = Destination::parse("https://acme.example/callback")?;
    let app = Destination::parse("com.example.soaring:/callback")?;
    let page = |application, scopes, destination, problem| Consent {
        brand: BRAND,
        application,
        user: "Ada Lovelace",
        sign_out: FORM,
        form: FORM,
        scopes,
        destination,
        problem,
    };
    let long = Application {
        name: LONG,
        logo: Some(&logo),
        ..acme(&homepage)
    };
    let bare = Application {
        description: None,
        homepage: None,
        ..acme(&homepage)
    };
    let nothing = Some(consent::Problem::NothingTicked);
    write(
        "consent",
        page(acme(&homepage), &SCOPES[..3], &web, None).render()?,
    )?;
    write(
        "consent-long",
        page(long, &SCOPES[..], &app, None).render()?,
    )?;
    write(
        "consent-nothing-ticked",
        page(acme(&homepage), &SCOPES[..2], &web, nothing).render()?,
    )?;
    write("consent-no-scopes", page(bare, &[], &web, None).render()?)?;
    Ok(())
}

fn device(write: &mut impl Write) -> Outcomes {
    let homepage = Link::https("https://acme.example/about")?;
    let entry = |code, problem| DeviceEntry {
        brand: BRAND,
        form: FORM,
        code,
        problem,
    };
    let throttled = device::Problem::Throttled {
        wait: Duration::from_mins(10),
    };
    write("device", entry("", None).render()?)?;
    write(
        "device-unknown",
        entry("wdjb-mjhx", Some(device::Problem::Unknown)).render()?,
    )?;
    write("device-throttled", entry("", Some(throttled)).render()?)?;
    let confirm = DeviceConfirm {
        brand: BRAND,
        application: acme(&homepage),
        code: "WDJB-MJHT",
        user: "Ada Lovelace",
        sign_out: FORM,
        form: FORM,
        scopes: &SCOPES[..3],
        problem: None,
    };
    write("device-confirm", confirm.render()?)?;
    let done = |outcome| DeviceDone {
        brand: BRAND,
        application: "Acme Soaring",
        outcome,
    };
    write("device-approved", done(Outcome::Approved).render()?)?;
    write("device-denied", done(Outcome::Denied).render()?)?;
    Ok(())
}

fn passkey(write: &mut impl Write) -> Outcomes {
    let homepage = Link::https("https://acme.example/about")?;
    let account = Link::path("/account")?;
    let destination = Destination::parse("https://acme.example/callback")?;
    let entry = |problem| PasskeyEntry {
        brand: BRAND,
        application: acme(&homepage),
        scopes: &SCOPES[..2],
        form: FORM,
        account: Some(&account),
        destination: &destination,
        problem,
    };
    write("passkey", entry(None).render()?)?;
    write(
        "passkey-refused",
        entry(Some(passkey::Problem::Refused)).render()?,
    )?;
    let fresh = PasskeyFresh {
        brand: BRAND,
        passkey: "7KQ2M9XD",
        lifetime: Duration::from_mins(15),
        expires: SEPTEMBER,
        account: &account,
    };
    write("passkey-fresh", fresh.render()?)?;
    Ok(())
}

fn account(write: &mut impl Write) -> Outcomes {
    let titles: Vec<&str> = SCOPES.iter().map(|scope| scope.title).collect();
    let names = [
        "Acme Soaring",
        LONG,
        "Vario 7",
        "Logbook",
        "滑翔日誌",
        "מצנח",
        "Thermal Map",
        "OLC Export",
    ];
    let connections: Vec<Connection<'_>> = names
        .iter()
        .enumerate()
        .map(|(i, name)| Connection {
            name,
            since: SEPTEMBER,
            last_used: (i != 2).then_some(NOVEMBER),
            scopes: &titles[..=i],
            disconnect: FORM,
        })
        .collect();
    let page = |connections, notice, problem, make_passkey, change_password| Account {
        brand: BRAND,
        user: "Ada Lovelace",
        notice,
        connections,
        make_passkey,
        change_password,
        password_min: 10,
        problem,
        sign_out: FORM,
        sign_out_everywhere: FORM,
    };
    let some = Some(FORM);
    let gone = Some(Notice::Disconnected("Acme Soaring"));
    let short = Some(account::Problem::TooShort);
    write(
        "account",
        page(&connections[..2], None, None, some, some).render()?,
    )?;
    write(
        "account-many",
        page(&connections, gone, None, some, None).render()?,
    )?;
    write(
        "account-empty",
        page(&[], None, short, None, some).render()?,
    )?;
    Ok(())
}

fn others(write: &mut impl Write) -> Outcomes {
    let sign_in = Link::path("/sign-in")?;
    let acme = Link::https("https://acme.example")?;
    write(
        "signed-out",
        SignedOut {
            brand: BRAND,
            sign_in: Some(&sign_in),
        }
        .render()?,
    )?;
    let message = Message {
        brand: BRAND,
        heading: "This link does not fit the application",
        text: "The address that Acme Soaring wants you sent back to is not one that it registered. Nothing was \
               shared. Go back and try again; if it happens again, tell the people who make the application.",
        request_id: Some("01JD9V2Q6T3Z8N5K7M4X1R0WCB"),
        back: Some(("Acme Soaring", &acme)),
    };
    write("message", message.render()?)?;
    Ok(())
}
