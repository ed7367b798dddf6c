//! The data of events takes a third of its space on SQLite, and is what it was when it is read.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, SqliteConnection};
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};

use rollbook::store::Location;
use rollbook::store::packed::{Unreadable, pack, unpack};
use rollbook_bench::baseline;

use crate::support::{Database, TestApp, group, patch, user};

const DICTIONARY: &[u8] = include_bytes!("../../../src/store/packed/1.json");

/// A user as an event of it has it.
const SAMPLE: &str = r#"{"object":"directory_user","id":"directory_user_01M81HXYAMFZ0AV3N6HNP29XXC","directory_id":"directory_01M81HXVRN4H28J32B020QXSSA","organization_id":"org_01M81HXVR54JJ6R21S4JRJ90ZQ","idp_id":"b5334dd8-7ab7-1041-9e20-fd39d292cba9","email":"lena@corp.test","first_name":"Lena","last_name":"Østergård","name":"Lena Østergård","emails":[{"value":"lena@corp.test","type":"work","primary":true}],"job_title":"Engineer","username":"lena","state":"active","raw_attributes":{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"directory_user_01M81HXYAMFZ0AV3N6HNP29XXC","userName":"lena","name":{"familyName":"Østergård","givenName":"Lena"},"title":"Engineer","active":true},"custom_attributes":{},"created_at":"2026-11-22T11:58:11.474Z","updated_at":"2026-11-22T11:58:11.474Z"}"#;

/// The sample as the first version with this dictionary has packed it.
const PACKED: &str = "01110300000ffa041fff094d3831485859414d465a304156334e36484e50323958584378010b013600ff0456524e3448\
    32384a3332423032305158535341900108033300f80235344a4a3652323153344a524a39305a51ed01f0156235333334\
    6464382d376162372d313034312d396532302d6664333964323932636261392d04036605ec6c656e6140636f72702e74\
    65737473054b4c656e617705b6c3987374657267c3a572641f020028001a201a000161000ae5030d6c000339080ff303\
    0508a00561456e67696e657f0607a8050052000fac0549014e07093003007d00048a010ff3010300220003af02039f00\
    0244031a7b6c050a2e01087705004d0100d802046a0507fb000432084f74727565880419f00431312d32325431313a35\
    383a31312e3437345a88060d11030b2800603437345a227d";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("digits")
    };
    digits.map(byte).collect()
}

/// Databases hold what was packed with it.
#[test]
fn dictionary_is_the_one_of_its_number_for_ever() {
    assert_eq!(
        hex(&Sha256::digest(DICTIONARY)),
        "4b6efe8fee285dfaaea423f4ff6b1bcf300b463d509372184c7f8dfcb6c9c09a",
        "a dictionary never changes; a better one gets the next number"
    );
    assert_eq!(unpack(bytes(PACKED)).as_deref(), Ok(SAMPLE));
}

#[test]
fn user_takes_less_than_half() {
    let packed = pack(SAMPLE);
    assert!(packed.len() * 2 < SAMPLE.len(), "{} of {} bytes", packed.len(), SAMPLE.len());
}

#[test]
fn text_that_gets_no_shorter_stays_as_it_is() {
    for text in ["{}", r#"{"q":"7fK"}"#] {
        assert_eq!(pack(text), text.as_bytes());
        assert_eq!(unpack(text.into()).as_deref(), Ok(text));
    }
}

#[test]
fn what_nobody_packed_is_refused() {
    for (kept, error) in [
        (vec![], Unreadable::Damaged),
        (vec![2, 0, 0, 0, 0], Unreadable::Form(2)),
        (vec![1], Unreadable::Damaged),
        (vec![1, 0, 0, 0], Unreadable::Damaged),
        // No text that is no UTF-8.
        (vec![b'{', 0xFF], Unreadable::Damaged),
        // A length that is not that of the text.
        (vec![1, 1, 0, 0, 0, 0], Unreadable::Damaged),
        // Four gigabytes in a byte.
        (vec![1, 0xFF, 0xFF, 0xFF, 0xFF, 0], Unreadable::Damaged),
    ] {
        assert_eq!(unpack(kept.clone()), Err(error), "{kept:?}");
    }
    assert_eq!(Unreadable::Form(2).to_string(), "the data of an event has the unknown form 2");
}

proptest! {
    #[test]
    fn every_text_comes_back(text in any::<String>()) {
        prop_assert_eq!(unpack(pack(&text)), Ok(text));
    }

    /// Texts in which much is found again.
    #[test]
    fn every_object_comes_back(pairs in proptest::collection::vec(("[a-c_]{1,9}", ".{0,40}"), 0..40)) {
        let members = pairs.into_iter().map(|(name, value)| (name, value.into()));
        let text = serde_json::Value::Object(members.collect()).to_string();
        prop_assert_eq!(unpack(pack(&text)), Ok(text));
    }

    #[test]
    fn no_bytes_panic(mut kept in proptest::collection::vec(any::<u8>(), 0..200), form in any::<bool>()) {
        if form && let Some(first) = kept.first_mut() {
            *first = 1;
        }
        let _ = unpack(kept);
    }

    /// A packed text of which one byte is another one.
    #[test]
    fn no_damage_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut kept = pack(SAMPLE);
        let at = at.index(kept.len());
        kept[at] = byte;
        let _ = unpack(kept);
    }
}

/// The bare loop of the report on speed writes what the server writes, with the server's own file.
#[test]
fn bench_packs_in_the_same_way() {
    assert_eq!(baseline::packed::pack(SAMPLE), pack(SAMPLE));
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Text)]
    event: String,
    #[diesel(sql_type = Text)]
    form: String,
    #[diesel(sql_type = BigInt)]
    length: i64,
    #[diesel(sql_type = Text)]
    member_id: String,
}

#[test]
fn events_are_packed_and_memberships_name_their_user() {
    let app = TestApp::start(Database::sqlite());
    let ada = app.scim.post("/Users", user("ada@example.com")).expect(201).id();
    let team = app.scim.post("/Groups", group("Crew", &[])).expect(201).id();
    let add = json!([{"op": "add", "path": "members", "value": [{"value": ada}]}]);
    app.scim.patch(&format!("/Groups/{team}?attributes=id"), patch(add)).expect(200);

    let Location::Sqlite(path) = Location::parse(&app.database.url()).expect("a file") else {
        panic!("a file");
    };
    let mut conn = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("the file");
    let kept: Vec<Kept> = diesel::sql_query(
        "SELECT e.event, typeof(e.data) AS form, length(CAST(e.data AS BLOB)) AS length, \
         COALESCE(e.member_id, '') AS member_id FROM event e \
         JOIN directory d ON d.key = e.directory_key WHERE d.id = ? ORDER BY e.key",
    )
    .bind::<Text, _>(&app.directory.id)
    .load(&mut conn)
    .expect("events");
    let told = app.event_rows(&app.directory);
    assert_eq!(kept.len(), told.len());
    for (kept, told) in kept.iter().zip(&told) {
        assert_eq!((&kept.event, kept.form.as_str()), (&told.event, "blob"));
        let data: serde_json::Value = serde_json::from_str(&told.data).expect("JSON");
        let member = data.pointer("/user/id").and_then(serde_json::Value::as_str);
        assert_eq!(kept.member_id, member.unwrap_or_default(), "{}", kept.event);
        let length = i64::try_from(told.data.len()).expect("a length");
        assert!(kept.length < length, "{} of {length} bytes: {}", kept.length, kept.event);
    }
    let added = kept.iter().filter(|kept| kept.event == "dsync.group.user_added");
    assert_eq!(added.map(|kept| kept.member_id.as_str()).collect::<Vec<_>>(), [ada]);
}
