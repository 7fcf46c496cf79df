extension HTML {
  /// The style of all pages: readable from a phone's width on, in light and dark, on paper.
  static let pageStyle = HTML(
    style: """
      :root {
        color-scheme: light dark;
        --page: #fcfcfb; --card: #fff; --ink: #1a1c20; --soft: #565b66; --rule: #dcdee3; --link: #1d4ed8;
        --normal: #2563a8; --anomalous: #c2410c; --grid: #e8e9ed; --warn: #8a4b00; --warn-back: #fff6e5;
      }
      @media (prefers-color-scheme: dark) {
        :root {
          --page: #131519; --card: #1b1e24; --ink: #eceef2; --soft: #a6acb8; --rule: #343942; --link: #8ab4ff;
          --normal: #74b0f0; --anomalous: #ff9255; --grid: #2a2f37; --warn: #ffcf87; --warn-back: #33280f;
        }
      }
      * { box-sizing: border-box; }
      html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
      @media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
      body {
        margin: 0 auto; max-width: 75rem; padding: 0 1rem 4rem; background: var(--page); color: var(--ink);
        font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
        overflow-wrap: anywhere;
      }
      a { color: var(--link); }
      :focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
      .skip { position: absolute; left: -999px; }
      .skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .5rem 1rem; }
      header { padding: 2.25rem 0 .5rem; }
      h1 { font-size: clamp(1.6rem, 4vw, 2.3rem); line-height: 1.15; margin: 0 0 .35rem; letter-spacing: -.015em; }
      h2 { font-size: 1.3rem; margin: 2.75rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
      h3 { font-size: 1.02rem; margin: 0 0 .4rem; }
      p { margin: 0 0 .75rem; max-width: 46rem; }
      .soft, figcaption, header p { color: var(--soft); }
      figcaption { font-size: .87rem; }
      nav ul { display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; list-style: none; padding: 0; margin: .75rem 0 0; }
      .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 8.8rem), 1fr)); gap: .75rem; margin: 1rem 0; padding: 0; }
      .tiles > div { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; padding: .75rem 1rem; }
      .tiles dt { color: var(--soft); font-size: .87rem; }
      .tiles dd { margin: 0; }
      .tiles strong { display: block; font-size: 1.65rem; line-height: 1.25; font-weight: 650; font-variant-numeric: tabular-nums; }
      .tiles small { display: block; color: var(--soft); font-size: .82rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
      .charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
      figure { margin: 0; }
      .chart { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; padding: 1rem; min-width: 0; }
      svg { display: block; width: 100%; height: auto; font-size: 12px; }
      @media (max-width: 30rem) { svg { font-size: 17px; } }
      svg text { fill: var(--soft); }
      .grid { stroke: var(--grid); }
      .axis { stroke: var(--soft); }
      .mark { stroke: var(--ink); stroke-dasharray: 4 3; }
      .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
      .curve.normal, .curve.line { stroke: var(--normal); }
      .curve.anomalous, .curve.dashes { stroke: var(--anomalous); stroke-dasharray: 7 3; }
      .bar.normal { fill: var(--normal); fill-opacity: .55; stroke: var(--normal); }
      .bar.anomalous { fill: var(--anomalous); fill-opacity: .45; stroke: var(--anomalous); }
      .legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.25rem; padding: 0; margin: .2rem 0 .4rem; font-size: .9rem; }
      .legend li::before { content: ""; display: inline-block; width: 1.4em; margin-right: .45em; vertical-align: .25em; border-top: 3px solid; }
      .legend .normal::before, .legend .line::before { border-color: var(--normal); }
      .legend .anomalous::before, .legend .dashes::before { border-color: var(--anomalous); border-top-style: dashed; }
      .scroll { overflow-x: auto; border: 1px solid var(--rule); border-radius: .6rem; background: var(--card); }
      table { border-collapse: collapse; width: 100%; font-size: .93rem; font-variant-numeric: tabular-nums; }
      caption { text-align: left; color: var(--soft); padding: .7rem .9rem .3rem; font-size: .87rem; }
      th, td { padding: .45rem .9rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--rule); }
      th:first-child { text-align: left; white-space: normal; min-width: 7rem; }
      thead th { border-top: 0; color: var(--soft); font-weight: 600; }
      tbody th { font-weight: 500; }
      tfoot th, tfoot td { font-weight: 650; }
      td small { display: block; color: var(--soft); }
      .gallery { margin-top: 1.75rem; }
      .cases { list-style: none; padding: 0; margin: 0; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
      .cases figure { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; overflow: hidden; }
      .pictures { display: grid; grid-template-columns: repeat(3, 1fr); gap: 2px; }
      .pictures img { display: block; width: 100%; height: auto; }
      .cases figcaption { padding: .55rem .8rem .7rem; }
      .verdict { font-weight: 650; color: var(--ink); }
      .verdict.wrong { color: var(--anomalous); }
      .facts { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .3rem 1.25rem; margin: 0; }
      .facts dt { color: var(--soft); }
      .facts dd { margin: 0; }
      @media (max-width: 34rem) { .facts { grid-template-columns: 1fr; gap: 0; } .facts dd { margin-bottom: .5rem; } }
      .warnings { background: var(--warn-back); border: 1px solid var(--warn); border-radius: .6rem; padding: .7rem 1rem; }
      .warnings ul { margin: .3rem 0 0; padding-left: 1.2rem; }
      details { margin-top: 1rem; }
      summary { cursor: pointer; }
      pre { overflow-x: auto; background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; padding: .9rem; font-size: .85rem; overflow-wrap: normal; }
      @media print { nav, .skip { display: none; } figure, tr { break-inside: avoid; } }
      """)
}

/// A page with its head. Nothing on it comes from elsewhere, and the browser is told to fetch nothing and to run nothing.
/// - Parameter sections: each with a name for links to it.
func page(
  title: String, subtitle: String, sections: [(id: String, title: String, content: HTML)]
) -> String {
  element("html", ["lang": "en"]) {
    element("head") {
      element("meta", ["charset": "utf-8"])
      element("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"])
      element(
        "meta",
        [
          "http-equiv": "Content-Security-Policy",
          "content": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        ])
      // Without an icon of its own, a browser asks the server for one.
      element("link", ["rel": "icon", "href": "data:,"])
      element("title") { title }
      HTML.pageStyle
    }
    element("body") {
      element("a", ["class": "skip", "href": "#content"]) { "Skip to the content" }
      element("header") {
        element("h1") { title }
        element("p") { subtitle }
        element("nav", ["aria-label": "Sections"]) {
          element("ul") {
            for section in sections { element("li") { element("a", ["href": "#\(section.id)"]) { section.title } } }
          }
        }
      }
      element("main", ["id": "content"]) {
        for section in sections {
          element("section", ["id": section.id, "aria-labelledby": "\(section.id)-heading"]) {
            element("h2", ["id": "\(section.id)-heading"]) { section.title }
            section.content
          }
        }
      }
    }
  }.document
}
