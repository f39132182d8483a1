//! What all pages promise, tested on every view in every state, with the same
//! text in every field that others write.

mod html;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use html::{Element, Html};
use views::every_view;

/// Text as an attacker would choose it.
const HOSTILE: [&str; 8] = [
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "</title></style><style>*{display:none}</style>",
    "\" autofocus onfocus=\"alert(1)",
    "javascript:alert(1)",
    "--><!-- {{ 7*7 }} &lt;b&gt; &#x3c;",
    "\u{202e}gnp.exe\u{202c}\u{2066}\0\r\n",
    "",
];

fn for_every_page(check: impl Fn(&str, &Html<'_>)) {
    for text in ["Acme & Söhne"].into_iter().chain(HOSTILE) {
        for (name, page) in every_view(text) {
            let name = format!("{name} with {text:?}");
            let html = Html::read(&page).unwrap_or_else(|why| panic!("{name}: {why}\n{page}"));
            check(&name, &html);
        }
    }
    let long = "W".repeat(5_000);
    for (name, page) in every_view(&long) {
        check(name, &Html::read(&page).unwrap());
    }
}

fn shape(html: &Html<'_>) -> Vec<(String, Vec<String>)> {
    let elements = html.elements.iter();
    elements
        .map(|e| (e.name.clone(), e.attributes.keys().cloned().collect()))
        .collect()
}

#[test]
fn no_text_can_add_an_element_or_an_attribute() {
    let plain: Vec<_> = every_view("Acme");
    for text in HOSTILE.into_iter().filter(|text| !text.is_empty()) {
        for ((name, expected), (_, page)) in plain.iter().zip(every_view(text)) {
            let expected = shape(&Html::read(expected).unwrap());
            let found = shape(&Html::read(&page).unwrap());
            assert_eq!(found, expected, "{name} with {text:?}");
        }
    }
}

#[test]
fn a_value_comes_back_as_it_was_sent() {
    for text in HOSTILE {
        for (name, page) in every_view(text) {
            let html = Html::read(&page).unwrap();
            for e in html
                .all("input")
                .filter(|e| e.get("name") == Some("hidden-field"))
            {
                assert_eq!(
                    e.get("value").map(html::unescape).as_deref(),
                    Some(text),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn nothing_reorders_text() {
    for_every_page(|name, html| {
        let marks = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!html.one("html").text.contains(marks), "{name}");
    });
}

#[test]
fn long_names_are_cut() {
    for (name, page) in every_view(&"W".repeat(5_000)) {
        let html = Html::read(&page).unwrap();
        assert!(!html.one("html").text.contains(&"W".repeat(301)), "{name}");
    }
}

#[test]
fn there_is_nothing_that_the_policy_forbids() {
    for_every_page(|name, html| {
        for e in &html.elements {
            let forbidden = [
                "script", "style", "iframe", "object", "embed", "base", "svg", "math",
            ];
            assert!(
                !forbidden.contains(&e.name.as_str()),
                "{name}: <{}>",
                e.name
            );
            for attribute in e.attributes.keys() {
                let active =
                    attribute.starts_with("on") || attribute == "style" || attribute == "srcdoc";
                assert!(!active, "{name}: {attribute} in <{}>", e.name);
            }
            for place in ["href", "src"].iter().filter_map(|place| e.get(place)) {
                let fine = ["https://", "/", "#"]
                    .iter()
                    .any(|start| place.starts_with(start));
                assert!(fine && !place.starts_with("//"), "{name}: {place}");
            }
            if e.name == "link" {
                assert_eq!(e.get("href"), Some(super::style::path()), "{name}");
            }
        }
    });
}

#[test]
fn every_form_is_posted_and_carries_csrf() {
    for_every_page(|name, html| {
        for (form, inside) in html.forms() {
            assert_eq!(form.get("method"), Some("post"), "{name}");
            assert!(form.get("action").is_some(), "{name}");
            let csrf =
                |e: &&&Element| e.get("type") == Some("hidden") && e.get("name") == Some("csrf");
            assert_eq!(inside.iter().filter(csrf).count(), 1, "{name}");
            let further = |e: &&&Element| e.get("name") == Some("hidden-field");
            assert_eq!(inside.iter().filter(further).count(), 1, "{name}");
        }
        for e in html.all("button") {
            assert_eq!(e.get("type"), Some("submit"), "{name}");
        }
    });
}

#[test]
fn ids_are_unique_and_every_reference_leads_somewhere() {
    for_every_page(|name, html| {
        let mut ids = BTreeSet::new();
        for id in html.elements.iter().filter_map(|e| e.get("id")) {
            assert!(ids.insert(id), "{name}: {id} twice");
        }
        for e in &html.elements {
            let link = e.get("href").and_then(|href| href.strip_prefix('#'));
            let named = ["for", "form", "aria-describedby", "aria-labelledby"];
            let named = named
                .iter()
                .filter_map(|a| e.get(a))
                .flat_map(str::split_whitespace);
            for id in named.chain(link) {
                assert!(ids.contains(id), "{name}: nothing has the id {id}");
            }
        }
    });
}

#[test]
fn every_input_has_a_label_and_says_how_to_fill_it_in() {
    for_every_page(|name, html| {
        let labels: BTreeMap<_, _> = html
            .all("label")
            .filter_map(|e| Some((e.get("for")?, e.text.trim())))
            .collect();
        for e in html
            .all("input")
            .filter(|e| e.get("type") != Some("hidden"))
        {
            let label = e.get("id").and_then(|id| labels.get(id));
            let hidden = e.get("hidden").is_some() && e.get("aria-label").is_some();
            assert!(
                hidden || label.is_some_and(|label| !label.is_empty()),
                "{name}: {e:?}"
            );
            let text = matches!(e.get("type"), Some("text" | "password"));
            assert!(!text || e.get("autocomplete").is_some(), "{name}: {e:?}");
        }
    });
}

#[test]
fn a_page_has_a_language_a_title_and_one_heading() {
    for_every_page(|name, html| {
        assert_eq!(html.one("html").get("lang"), Some("en"), "{name}");
        assert!(!html.one("title").text.trim().is_empty(), "{name}");
        assert!(!html.one("h1").text.trim().is_empty(), "{name}");
        html.one("main");
        let focused = html
            .elements
            .iter()
            .filter(|e| e.get("autofocus").is_some());
        assert!(focused.count() <= 1, "{name}");
        let failed = html.elements.iter().any(|e| e.get("id") == Some("problem"));
        assert_eq!(
            html.one("title").text.starts_with("Error: "),
            failed,
            "{name}"
        );
    });
}

#[test]
fn a_password_manager_and_a_phone_know_the_fields() {
    let pages: BTreeMap<_, _> = every_view("Acme").into_iter().collect();
    let purpose = |page: &str, id: &str| {
        let html = Html::read(&pages[page]).unwrap();
        let e = html
            .elements
            .iter()
            .find(|e| e.get("id") == Some(id))
            .unwrap();
        e.get("autocomplete").unwrap().to_owned()
    };
    assert_eq!(purpose("sign in", "username"), "username");
    assert_eq!(purpose("sign in", "password"), "current-password");
    assert_eq!(purpose("passkey", "passkey"), "one-time-code");
    assert_eq!(purpose("account", "current-password"), "current-password");
    assert_eq!(purpose("account", "new-password"), "new-password");
    assert_eq!(purpose("device", "user-code"), "off");
}

/// FCV-9: the person is told not to authorize what they do not recognise.
#[test]
fn whoever_asks_is_named_and_may_be_refused() {
    let pages: BTreeMap<_, _> = every_view("Acme").into_iter().collect();
    for page in ["consent", "device confirm", "passkey"] {
        let html = Html::read(&pages[page]).unwrap();
        assert!(html.one("h1").text.contains("Acme"), "{page}");
        assert!(
            html.text
                .contains("If you do not recognise this application, do not authorize it.")
        );
        let decisions: Vec<_> = html
            .all("button")
            .filter(|e| e.get("name") == Some("decision"))
            .filter_map(|e| e.get("value"))
            .collect();
        assert_eq!(decisions, ["deny", "allow"], "{page}");
    }
}

/// The Enter key presses a form's first button.
#[test]
fn the_enter_key_never_allows_by_accident_and_never_drops_a_passkey() {
    let pages: BTreeMap<_, _> = every_view("Acme").into_iter().collect();
    for (page, expected) in [
        ("consent", "deny"),
        ("device confirm", "deny"),
        ("passkey", "allow"),
    ] {
        let html = Html::read(&pages[page]).unwrap();
        let forms = html.forms();
        let (_, inside) = &forms[0];
        let own = |e: &&&Element| e.name == "button" && e.get("form").is_none();
        assert_eq!(
            inside.iter().find(own).unwrap().get("value"),
            Some(expected),
            "{page}"
        );
    }
}

/// WCAG 2.2, 1.4.3: 4.5 to 1 for text; 1.4.11: 3 to 1 for the edges of fields.
#[test]
fn text_has_contrast_in_light_and_in_dark() {
    let (light, dark) = super::style::CSS
        .split_once("@media (prefers-color-scheme: dark)")
        .unwrap();
    for scheme in [light, dark] {
        let end = scheme.find("--shadow").unwrap();
        let colours: BTreeMap<&str, f64> = scheme[..end]
            .lines()
            .filter_map(|line| {
                line.trim()
                    .strip_prefix("--")?
                    .strip_suffix(';')?
                    .split_once(": ")
            })
            .map(|(name, colour)| (name, luminance(colour)))
            .collect();
        let ratio = |a: &str, b: &str| {
            let (a, b) = (colours[a] + 0.05, colours[b] + 0.05);
            if a > b { a / b } else { b / a }
        };
        for (text, ground, least) in [
            ("text", "page", 4.5),
            ("text", "card", 4.5),
            ("text", "raised", 4.5),
            ("quiet", "card", 4.5),
            ("quiet", "raised", 4.5),
            ("accent", "card", 4.5),
            ("accent", "raised", 4.5),
            ("accent-strong", "card", 4.5),
            ("on-accent", "accent", 4.5),
            ("on-accent", "accent-strong", 4.5),
            ("good", "good-soft", 4.5),
            ("warn", "warn-soft", 4.5),
            ("bad", "bad-soft", 4.5),
            ("bad", "card", 4.5),
            ("edge", "card", 3.0),
            ("edge", "raised", 3.0),
        ] {
            let ratio = ratio(text, ground);
            assert!(ratio >= least, "{text} on {ground}: {ratio:.2}");
        }
    }
}

/// Relative luminance (WCAG 2.2) of a colour such as #0b5c9e.
fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

#[test]
fn the_stylesheet_fetches_nothing() {
    for word in ["url(", "@import", "expression("] {
        assert!(!super::style::CSS.contains(word), "{word}");
    }
    let hash = super::style::path().strip_prefix("/assets/").unwrap();
    let hash = hash.strip_suffix(".css").unwrap();
    assert!(
        hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
        "{hash}"
    );
    let answer = super::style::answer();
    assert_eq!(
        answer.headers()["cache-control"],
        "public, max-age=31536000, immutable"
    );
}

#[test]
fn an_answer_carries_the_page_and_its_headers() {
    let view = super::signed_out::SignedOut {
        brand: "We Fly",
        sign_in: None,
    };
    let policy = super::headers::Policy::default();
    let response = super::answer(&view, http::StatusCode::OK, &policy).unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "text/html; charset=utf-8"
    );
    assert_eq!(response.headers()["x-frame-options"], "DENY");
}
