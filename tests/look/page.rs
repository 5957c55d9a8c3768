//! The page of `inspect --report`, in a browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::{Member, Program, TarBuilder, run, tool};

use crate::stage::{PROGRAM, Stage};

/// What the browser makes of a page at an address, after a few seconds of its own time.
fn dom(program: &Program<'_>, page: &Path, fragment: &str) -> String {
    let folder = tempfile::tempdir_in(program.folder()).expect("a folder");
    let mut browser = Command::new(tool("chromium"));
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    browser.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    browser.args(["--window-size=1280,1400", "--virtual-time-budget=3000", "--dump-dom"]);
    browser.arg(format!("--user-data-dir={}", folder.path().display()));
    browser.env("HOME", folder.path());
    let dom = run(browser.arg(format!("file://{}{fragment}", page.display())));
    String::from_utf8(dom).expect("text")
}

/// The text between two marks.
fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("no {start:?} in:\n{text}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} in:\n{rest}")).0
}

pub(crate) fn the_map_is_drawn_and_leads_inside(stage: &Stage) {
    stage.program.succeed(["inspect", "dist/stage", "--report", "report.html"]);
    let path = stage.program.folder().join("report.html");
    let page = fs::read_to_string(&path).expect("the page");
    // Nothing is fetched from anywhere: the only addresses are those of forms, which are names.
    for word in ["src=", "href=", "url(", "@import", "fetch(", "XMLHttpRequest", "http://", "https://"] {
        let (style, script) =
            (between(&page, "<style>", "</style>"), page.rsplit_once("<script>").expect("a script").1);
        assert!(!style.contains(word) && !script.contains(word), "{word}");
        assert!(
            !between(&page, "<html", "<script type=\"application/json\"").contains(word)
                || word.starts_with("http"),
            "{word}"
        );
    }
    let whole = dom(&stage.program, &path, "");
    assert!(
        !whole.contains("<section id=\"map-section\" aria-labelledby=\"map-title\" hidden"),
        "it is shown"
    );
    let map = between(&whole, "<div id=\"map\"", "<div id=\"tip\"");
    assert!(map.matches("class=\"tile").count() > 200, "{} tiles", map.matches("class=\"tile").count());
    assert!(map.contains("aria-label=\"usr, "), "the largest folder");
    assert!(between(&whole, "id=\"status\"", "</p>").contains("MiB in "), "the line below");

    let inside = dom(&stage.program, &path, "#directories/usr/share");
    let way = between(&inside, "<ol id=\"where\">", "</ol>");
    assert!(way.contains(">everything</button>") && way.contains(">usr</button>"), "{way}");
    assert!(way.contains("aria-current=\"location\"") && way.contains(">share</bdi>"), "{way}");
    assert!(between(&inside, "id=\"status\"", "</p>").contains("of everything"));

    let packages = dom(&stage.program, &path, "#packages/deb");
    let package = &stage.inspect("dist/stage")["packages"][0];
    let (name, version) =
        (package["name"].as_str().expect("a name"), package["version"].as_str().expect("a version"));
    assert!(between(&packages, "<div id=\"map\"", "<div id=\"tip\"").contains(&format!("{name} {version}")));
}

/// A click on a part looks into it, Escape goes back out: told by what the page says afterwards.
#[test]
fn it_is_walked_by_mouse_and_keyboard() {
    let program = Program::new(PROGRAM);
    let tar = TarBuilder::new()
        .member(Member::file("a/inner/file", "x".repeat(5000)))
        .member(Member::file("b/file", "x".repeat(4000)))
        .member(Member::file("c", "x".repeat(3000)));
    program.write("small.tar", tar.build());
    program.succeed(["inspect", "small.tar", "--report", "report.html"]);
    let page = fs::read_to_string(program.folder().join("report.html")).expect("the page");
    // The page's own policy lets no other script run, so this one stands in a page around it.
    let steps = "const frame = document.querySelector('iframe'), said = [];\n\
        const say = () => said.push([...frame.contentDocument.querySelectorAll('#where li')].map((li) => li.firstChild.textContent).join('>'));\n\
        const later = () => new Promise((done) => setTimeout(done, 50));\n\
        const key = (name) => frame.contentDocument.activeElement.dispatchEvent(new frame.contentWindow.KeyboardEvent('keydown', { key: name, bubbles: true }));\n\
        frame.addEventListener('load', async () => {\n\
          const inside = frame.contentDocument;\n\
          say();\n\
          inside.querySelector('#map button').click(); await later(); say();\n\
          inside.querySelector('#map button').click(); await later(); say();\n\
          key('Escape'); await later(); key('Escape'); await later(); say();\n\
          const [first, second] = inside.querySelectorAll('#map button');\n\
          first.focus(); key('ArrowRight'); said.push(inside.activeElement === second ? 'moved' : 'stayed');\n\
          second.dispatchEvent(new frame.contentWindow.PointerEvent('pointermove', { bubbles: true }));\n\
          said.push(inside.querySelector('#tip').textContent);\n\
          document.body.dataset.said = said.join('|');\n\
        });\n\
        frame.srcdoc = document.querySelector('template').dataset.page;";
    let escaped = page.replace('&', "&amp;").replace('"', "&quot;");
    let around = format!(
        "<!doctype html><body><iframe width=1200 height=900></iframe><template data-page=\"{escaped}\"></template>\
         <script>{steps}</script></body>"
    );
    let path = program.write("around.html", around);
    let said = dom(&program, &path, "");
    let said = between(&said, "data-said=\"", "\"").replace("&gt;", ">").replace("&nbsp;", " ");
    let said: Vec<&str> = said.split('|').collect();
    assert_eq!(said[..5], ["everything", "everything>a", "everything>a>inner", "everything", "moved"]);
    assert_eq!(said[5], "b3.9 KiB · 33.3 % of everything");
}

/// Names that would be markup are names.
#[test]
fn hostile_names_are_names() {
    let program = Program::new(PROGRAM);
    let evil =
        "x</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
    let package = serde_json::json!({"name": evil, "version": "<b>1</b>", "license": "<i>"}).to_string();
    let tar = TarBuilder::new()
        .member(Member::file(format!("srv/{evil}"), "x".repeat(9000)))
        .member(Member::file("srv/<!--", "x".repeat(9000)))
        .member(Member::file("etc/os-release", format!("ID=x\nPRETTY_NAME=\"{evil}\"\n")))
        .member(Member::file("node_modules/x/package.json", package));
    program.write("<title><script>.tar", tar.build());
    program.succeed(["inspect", "<title><script>.tar", "--report", "report.html"]);
    let path = program.folder().join("report.html");
    for fragment in ["#packages", "#directories/srv/%3Cimg%20src=x%20onerror=alert(1)%3E"] {
        let dom = dom(&program, &path, fragment);
        let title = between(&dom, "<title>", "</title>");
        assert_eq!(title, "&lt;title&gt;&lt;script&gt;.tar: where the bytes are", "{fragment}");
        assert!(!dom.contains("<img") && !dom.contains("<b>1</b>"), "{fragment}");
        assert_eq!(dom.matches("<script").count(), 2, "{fragment}");
    }
}
