"""Texts with the links that are in them, by the rules of both pages."""

LINKS = {
    "see https://example.org/a_b.": ["https://example.org/a_b"],
    "(http://example.org:8080/?q=1#x)": ["http://example.org:8080/?q=1#x"],
    "http://127.0.0.1:15672/ and https://[::1]:8443/x": ["http://127.0.0.1:15672/", "https://[::1]:8443/x"],
    "HTTPS and https://EXAMPLE.org/": ["https://EXAMPLE.org/"],
    "https://a.example/1,https://b.example/2": ["https://a.example/1,https://b.example/2"],
    "https://bank.example@evil.example/": [],
    "https://0x7f000001/": [],
    "https://2130706433/": [],
    "https://127.1/": [],
    "https://[0:0:0:0:0:0:0:1]/": [],
    "http://example.org:80/ http://example.org:080/ http://example.org:99999/": [],
    "javascript:alert(1) data:text/html,x ftp://example.org": [],
    "https://ex\u0430mple.org/": [],
    "https://example.org\u0430": [],
    "xhttps://example.org": [],
    "https://evil.example/" + "a" * 3000: [],
}
