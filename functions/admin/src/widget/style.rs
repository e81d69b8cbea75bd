//! How the page looks. CloudWatch tells the theme; nothing is asked from elsewhere.

use serde::Deserialize;

/// CloudWatch's two themes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Theme {
    #[default]
    Light,
    Dark,
}

impl Theme {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(super) fn css(self) -> String {
        format!(
            "{LAYOUT}{}",
            match self {
                Self::Light => LIGHT,
                Self::Dark => DARK,
            }
        )
    }
}

// Neither `<`, `>`, `&` nor quotes: they would not be what they are in a style element that is
// escaped like everything else.
const LAYOUT: &str = "
.dpi{font-family:Amazon Ember,Helvetica Neue,Roboto,Arial,sans-serif;font-size:13px;line-height:1.45;padding:4px 8px 12px;box-sizing:border-box;container-type:inline-size;overflow-wrap:anywhere}
.dpi h2{font-size:15px;font-weight:700;margin:18px 0 8px}
.dpi h3{font-size:14px;font-weight:700;margin:0}
.dpi .dpi-head{display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 16px;align-items:baseline;margin-bottom:8px}
.dpi .dpi-title{font-size:17px;font-weight:700}
.dpi .dpi-tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:8px}
.dpi .dpi-tile{padding:8px 12px;border-radius:8px}
.dpi .dpi-tile b{display:block;font-size:24px;line-height:1.2}
.dpi .dpi-cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));gap:12px}
.dpi .dpi-card{padding:12px;border-radius:8px;min-width:0}
.dpi .dpi-row{display:flex;flex-wrap:wrap;gap:4px 14px;align-items:center}
.dpi .dpi-between{display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 10px;align-items:baseline}
.dpi .dpi-bar{display:block;width:100%;height:12px;border-radius:6px;margin:8px 0 6px}
.dpi .dpi-capacity{display:flex;gap:12px;align-items:center;margin:10px 0}
.dpi .dpi-gauge{display:block;width:104px;height:56px;flex:none}
.dpi .dpi-dial{font-size:20px;font-weight:700}
.dpi .dpi-columns{display:block;width:100%;height:44px;margin:6px 0 4px}
.dpi .dpi-swatch{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}
.dpi .dpi-tag{font-size:11px;padding:1px 8px;border-radius:9px;white-space:nowrap}
.dpi .dpi-note{margin:6px 0 0;padding:4px 8px;border-radius:4px;border-left:3px solid}
.dpi .dpi-scroll{overflow-x:auto}
.dpi table{border-collapse:collapse;width:100%}
.dpi th{text-align:left;font-weight:700;padding:4px 10px 4px 0;white-space:nowrap}
.dpi td{text-align:left;vertical-align:top;padding:6px 10px 6px 0;min-width:84px}
.dpi td.dpi-wide{min-width:180px}
.dpi td.dpi-act{min-width:0;width:1%;padding-right:0}
.dpi cwdb-action{display:none}
.dpi a.btn{display:inline-block;cursor:pointer;font-size:12px;font-weight:700;padding:1px 10px;border-radius:12px;border:1px solid;text-decoration:none;white-space:nowrap;background:transparent}
.dpi a.btn:hover{opacity:.75}
.dpi pre{font-family:Monaco,Menlo,Consolas,monospace;font-size:12px;white-space:pre-wrap;margin:0;padding:12px;border-radius:8px}
@container (max-width:640px){
.dpi thead{display:none}
.dpi tr{display:block;padding:8px 0}
.dpi td,.dpi td.dpi-wide{display:flex;min-width:0;padding:1px 0;border:0}
.dpi td.dpi-act{width:auto;padding-top:4px}
.dpi td:before{content:attr(data-label);flex:0 0 128px;font-weight:700}
.dpi td.dpi-act:before{content:none}
}
";

const LIGHT: &str = "
.dpi{color:#16191f}
.dpi .dpi-muted{color:#545b64}
.dpi .dpi-tile,.dpi .dpi-card,.dpi pre{background:#f7f8f9;border:1px solid #dde1e6}
.dpi thead tr,.dpi tbody tr{border-bottom:1px solid #dde1e6}
.dpi a.btn{color:#0053ba;border-color:#0053ba}
.dpi .dpi-tag{background:#e4e8ec;color:#16191f}
.dpi .dpi-note{background:#fdf3e7;border-color:#c25700;color:#16191f}
.dpi .dpi-bad{color:#b0240f}
.dpi .dpi-dial{fill:#16191f}
.dpi .c-ready{fill:#2a8a36;background:#2a8a36}
.dpi .c-blocked{fill:#c8301a;background:#c8301a}
.dpi .c-pending{fill:#2f7fd3;background:#2f7fd3}
.dpi .c-waiting{fill:#8d99a8;background:#8d99a8}
.dpi .c-track{fill:#dfe3e8;background:#dfe3e8}
.dpi .s-track{stroke:#dfe3e8}
.dpi .s-ready{stroke:#2a8a36}
.dpi .s-changed{stroke:#c97a00}
.dpi .s-blocked{stroke:#c8301a}
.dpi .c-revoked{fill:#c8301a;background:#c8301a}
.dpi .c-changed{fill:#e08a1e;background:#e08a1e}
.dpi .c-recreated{fill:#c9b300;background:#c9b300}
.dpi .c-shadowed{fill:#8456ce;background:#8456ce}
.dpi .c-excluded{fill:#687078;background:#687078}
.dpi .c-missing{fill:#2f7fd3;background:#2f7fd3}
.dpi .c-unmapped{fill:#7d8998;background:#7d8998}
";

const DARK: &str = "
.dpi{color:#e9ebed}
.dpi .dpi-muted{color:#a9b4c0}
.dpi .dpi-tile,.dpi .dpi-card,.dpi pre{background:#1c2733;border:1px solid #3a4654}
.dpi thead tr,.dpi tbody tr{border-bottom:1px solid #3a4654}
.dpi a.btn{color:#7cbcff;border-color:#7cbcff}
.dpi .dpi-tag{background:#3a4654;color:#e9ebed}
.dpi .dpi-note{background:#3a2d1c;border-color:#f0a04b;color:#e9ebed}
.dpi .dpi-bad{color:#ff8a76}
.dpi .dpi-dial{fill:#e9ebed}
.dpi .c-ready{fill:#4fbf5b;background:#4fbf5b}
.dpi .c-blocked{fill:#ff6d57;background:#ff6d57}
.dpi .c-pending{fill:#63a9f2;background:#63a9f2}
.dpi .c-waiting{fill:#8d99a8;background:#8d99a8}
.dpi .c-track{fill:#364250;background:#364250}
.dpi .s-track{stroke:#364250}
.dpi .s-ready{stroke:#4fbf5b}
.dpi .s-changed{stroke:#f0a04b}
.dpi .s-blocked{stroke:#ff6d57}
.dpi .c-revoked{fill:#ff6d57;background:#ff6d57}
.dpi .c-changed{fill:#f0a04b;background:#f0a04b}
.dpi .c-recreated{fill:#e0cf45;background:#e0cf45}
.dpi .c-shadowed{fill:#b08cf0;background:#b08cf0}
.dpi .c-excluded{fill:#95a0aa;background:#95a0aa}
.dpi .c-missing{fill:#63a9f2;background:#63a9f2}
.dpi .c-unmapped{fill:#9aa6b4;background:#9aa6b4}
";
