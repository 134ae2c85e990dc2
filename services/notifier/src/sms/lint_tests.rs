//! One case a line: what is changed in a text that is fine, and what the linter says to it.

use super::*;

fn fine() -> Registered {
    Registered {
        template: "cashback_credited".to_owned(),
        hindi: false,
        entity_id: "1101000000000000001".to_owned(),
        dlt_template_id: "1107000000000000001".to_owned(),
        sender_id: "DEMOCB".to_owned(),
        category: Category::ServiceImplicit,
        body: "Rs.{#numeric#} cashback from {#alphanumeric#} is now in your Demo Cashback wallet. See demo.in/wallet"
            .to_owned(),
    }
}

fn rules() -> Rules {
    Rules {
        brand: "Demo Cashback".to_owned(),
        hosts: vec!["demo.in".to_owned()],
        numbers: vec!["18001234567".to_owned()],
        most_parts: 2,
    }
}

const GIVES: [Kind; 2] = [Kind::Numeric, Kind::Alphanumeric];

fn text(change: impl FnOnce(&mut Registered)) -> Vec<Problem> {
    let mut text = fine();
    change(&mut text);
    check_text(&text, &GIVES, &rules())
}

fn body(body: &str) -> Vec<Problem> {
    text(|text| body.clone_into(&mut text.body))
}

fn values(amount: &str, merchant: &str) -> Vec<Problem> {
    check_values(&fine(), &[amount.to_owned(), merchant.to_owned()], &rules())
}

#[test]
fn what_is_fine_is_let_through() {
    assert_eq!(text(|_| {}), []);
    assert_eq!(values("1,23,456.50", "Demo Store & Sons"), []);
    assert_eq!(values("250", "H&M Home, Pune - 2"), []);
    assert_eq!(
        body(
            "Demo Cashback: Rs.{#numeric#} came from {#alphanumeric#}, a wholesaler of note. Call 1800-1234-567 for help"
        ),
        []
    );
    assert_eq!(
        body("Demo Cashback: Rs.{#numeric#} came from {#alphanumeric#}. Look at https://my.demo.in/wallet?x=1 today"),
        []
    );
    let hindi = |text: &mut Registered| {
        text.hindi = true;
        "Demo Cashback: {#numeric#} रुपये का कैशबैक {#alphanumeric#} से आपके वॉलेट में आ गया है, धन्यवाद।"
            .clone_into(&mut text.body);
    };
    let problems = text(hindi);
    assert!(matches!(problems.as_slice(), [] | [Problem::Parts { .. }]), "{problems:?}");
}

#[test]
fn ids_and_senders() {
    assert_eq!(text(|text| text.entity_id = "110100000000000000".to_owned()), [Problem::EntityId]);
    assert_eq!(text(|text| text.entity_id = "110100000000000000A".to_owned()), [Problem::EntityId]);
    assert_eq!(text(|text| text.dlt_template_id = String::new()), [Problem::TemplateId]);
    assert_eq!(text(|text| text.sender_id = "DEMO1B".to_owned()), [Problem::LettersSender]);
    assert_eq!(text(|text| text.sender_id = "DEMOCBK".to_owned()), [Problem::LettersSender]);
    let promotional = |sender: &str| {
        text(|text| {
            text.category = Category::Promotional;
            sender.clone_into(&mut text.sender_id);
        })
    };
    assert_eq!(promotional("DEMOCB"), [Problem::DigitsSender]);
    assert_eq!(promotional("612345"), []);
}

#[test]
fn letters_of_the_text() {
    assert_eq!(body(" "), [Problem::Empty, Problem::Count { has: 0, gives: 2 }, Problem::NoBrand]);
    assert_eq!(
        body("Rs.{#numeric#} from {#alphanumeric#}  is in your Demo Cashback wallet, thank you for that"),
        [Problem::DoubleSpace]
    );
    assert_eq!(
        body("Rs.{#numeric#} from {#alphanumeric#} is in your Demo Cashback wallet, thank you for that "),
        [Problem::Edges]
    );
    assert_eq!(
        body("Rs.{#numeric#} from {#alphanumeric#} is in your Demo Cashback wallet, that\u{2019}s all for today"),
        [Problem::Typographic('\u{2019}')]
    );
    assert_eq!(
        body("Rs.{#numeric#} from {#alphanumeric#} is in your Demo Cashback wallet \u{2013} that is all for now"),
        [Problem::Typographic('\u{2013}')]
    );
    assert_eq!(
        body("₹{#numeric#} from {#alphanumeric#} is in your Demo Cashback wallet, that is all for today"),
        [Problem::Costly('₹')]
    );
    assert_eq!(
        body("Rs.{#numeric#} from {#alphanumeric#}\tis in your Demo Cashback wallet, that is all for today")[0],
        Problem::Control
    );
    let long = format!("Demo Cashback {} {{#numeric#}} and {{#alphanumeric#}}", "word ".repeat(420).trim_end());
    assert!(body(&long).contains(&Problem::LongBody));
}

#[test]
fn variables_of_the_text() {
    assert_eq!(
        body("Rs.{#var#} from {#alphanumeric#} is in your Demo Cashback wallet, that is all for now"),
        [Problem::Untyped, Problem::Count { has: 1, gives: 2 }]
    );
    assert_eq!(
        body("Rs.{#Numeric#} from {#alphanumeric#} is in your Demo Cashback wallet, all for now"),
        [Problem::UnknownTag("Numeric".to_owned()), Problem::Count { has: 1, gives: 2 }]
    );
    assert_eq!(
        body("Rs.{numeric} from {#alphanumeric#} is in your Demo Cashback wallet, that is all for now"),
        [Problem::Brace, Problem::Count { has: 1, gives: 2 }]
    );
    assert_eq!(
        body("Rs.##AMOUNT## from {#alphanumeric#} is in your Demo Cashback wallet, that is all for now"),
        [Problem::Brace, Problem::Count { has: 1, gives: 2 }]
    );
    assert_eq!(
        body("Your Demo Cashback wallet has got some more money in it, namely Rs.{#numeric#}{#alphanumeric#}"),
        [Problem::Adjacent]
    );
    assert_eq!(body("Demo Cashback {#numeric#} {#alphanumeric#}"), [Problem::MostlyVariable]);
    assert_eq!(
        body("Shop {#alphanumeric#} brought Rs.{#numeric#} into your Demo Cashback wallet, that is all"),
        [Problem::Order { place: 1, has: Kind::Alphanumeric, gives: Kind::Numeric }]
    );
    assert_eq!(body("Rs.{#numeric#} is in your Demo Cashback wallet"), [Problem::Count { has: 1, gives: 2 }]);
}

#[test]
fn links_and_numbers_of_the_text() {
    let with =
        |more: &str| body(&format!("Rs.{{#numeric#}} from {{#alphanumeric#}} is in your Demo Cashback wallet. {more}"));
    assert_eq!(with("See https://bit.ly/x1"), [Problem::Host("bit.ly".to_owned())]);
    assert_eq!(with("See evil-demo.in/wallet"), [Problem::Host("evil-demo.in".to_owned())]);
    assert_eq!(with("See www.demo.in.evil.com"), [Problem::Host("www.demo.in.evil.com".to_owned())]);
    assert_eq!(with("Call 98000 or +919800000001"), [Problem::Number("919800000001".to_owned())]);
    assert_eq!(with("Call 1800-1234-567"), []);
}

#[test]
fn category_against_content() {
    assert_eq!(text(|text| text.category = Category::Transactional), [Problem::NoBank]);
    let with =
        |more: &str| body(&format!("Rs.{{#numeric#}} from {{#alphanumeric#}} is in your Demo Cashback wallet. {more}"));
    assert_eq!(with("Get 20% off today"), [Problem::Advertising("% off")]);
    assert_eq!(with("Hurry!"), [Problem::Advertising("hurry")]);
    assert_eq!(with("The sale is on"), [Problem::Advertising("sale")]);
    assert_eq!(with("Now in salem"), []);
    assert_eq!(body("Demo Cashback"), [Problem::Count { has: 0, gives: 2 }]);
    assert_eq!(
        body("Rs.{#numeric#} cashback from {#alphanumeric#} is now in your wallet, thank you very much"),
        [Problem::NoBrand]
    );
}

#[test]
fn texts_with_codes() {
    let code = |body: &str, category| {
        let text = Registered {
            template: "otp".to_owned(),
            category,
            sender_id: if category == Category::Promotional { "612345".to_owned() } else { "DEMOCB".to_owned() },
            body: body.to_owned(),
            ..fine()
        };
        check_text(&text, &[Kind::Numeric, Kind::Numeric], &rules())
    };
    let good = "{#numeric#} is your Demo Cashback code, valid for {#numeric#} minutes. Do not share it with anyone.";
    assert_eq!(code(good, Category::ServiceImplicit), []);
    assert_eq!(code(good, Category::Promotional), [Problem::PromotionalCode]);
    let silent = "{#numeric#} is your Demo Cashback code, valid for {#numeric#} minutes. Thank you for asking.";
    assert_eq!(code(silent, Category::ServiceImplicit), [Problem::NoWarning]);
}

#[test]
fn values_of_a_message() {
    assert_eq!(values("250", ""), [Problem::EmptyValue { place: 2 }]);
    assert_eq!(values("250", &"x".repeat(30)), []);
    assert_eq!(values("250", &"x".repeat(31)), [Problem::LongValue { place: 2, length: 31 }]);
    let short = Rules { most_parts: 1, ..rules() };
    let hindi = ["250".to_owned(), "न".repeat(30)];
    assert_eq!(check_values(&fine(), &hindi, &short), [Problem::Parts { parts: 2, most: 1 }]);
    assert_eq!(values("two hundred", "Store"), [Problem::WrongValue { place: 1, kind: Kind::Numeric }]);
    assert_eq!(values(",.", "Store"), [Problem::WrongValue { place: 1, kind: Kind::Numeric }]);
    assert_eq!(values("250", "<b>Store"), [Problem::ForbiddenSign { place: 2, sign: '<' }]);
    assert_eq!(values("250", "Store\nfree"), [Problem::ForbiddenSign { place: 2, sign: '\n' }]);
    assert_eq!(values("250", "{#numeric#}"), [Problem::ForbiddenSign { place: 2, sign: '{' }]);
    assert_eq!(values("250", "see www.evil"), [Problem::HiddenLink { place: 2 }]);
    assert_eq!(values("250", "evil.com"), [Problem::HiddenLink { place: 2 }]);
    assert_eq!(values("250", "https://evil"), [Problem::HiddenLink { place: 2 }]);
    assert_eq!(values("250", "Dr. No"), []);
    assert_eq!(values("250", "demo cashback"), [Problem::BrandInValue { place: 2 }]);
    assert_eq!(check_values(&fine(), &["250".to_owned()], &rules()), [Problem::Count { has: 2, gives: 1 }]);
}

#[test]
fn values_of_links_and_numbers() {
    let with = |tag: &str, value: &str| {
        let text = Registered { body: format!("Your Demo Cashback page is {{#{tag}#}} for today"), ..fine() };
        check_values(&text, &[value.to_owned()], &rules())
    };
    assert_eq!(with("url", "https://demo.in/w/1"), []);
    assert_eq!(with("url", "https://demo.in.evil.com/w"), [Problem::Host("demo.in.evil.com".to_owned())]);
    assert_eq!(with("url", "soon"), [Problem::WrongValue { place: 1, kind: Kind::Url }]);
    assert_eq!(with("cbn", "18001234567"), []);
    assert_eq!(with("cbn", "9800000001"), [Problem::Number("9800000001".to_owned())]);
    assert_eq!(with("cbn", "call us"), [Problem::WrongValue { place: 1, kind: Kind::CallBack }]);
}

#[test]
fn what_it_costs() {
    let values = |merchant: &str| vec!["250".to_owned(), merchant.to_owned()];
    assert_eq!(cost(&fine(), &values("Demo Store")), 1);
    assert_eq!(cost(&fine(), &values("स्टोर")), 2, "in UCS-2");
}
