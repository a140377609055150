"""Text that somebody hopes is not taken for text. Every command in it would make the file `mark`."""

import json


def corpus(mark):
    """Name → text. `mark` is an absolute path; its last part is looked for everywhere afterwards."""
    touch = f"touch {mark}"
    return {
        "shell-substitution": f"$({touch})",
        "shell-backticks": f"`{touch}`",
        "shell-semicolon": f"a; {touch}; b",
        "shell-pipe": f"a | {touch}",
        "shell-and": f"a && {touch} #",
        "shell-newline": f"a\n{touch}\n",
        "shell-quotes": f"'\"; {touch}; '\"",
        "shell-redirection": f"a > {mark}",
        "shell-variables": "$IFS$PATH ${HOME} ~ * ? [a-z] {a,b} !!",
        "option": "--help",
        "option-git": f"--upload-pack={touch}",
        "option-ssh": f"-oProxyCommand={touch}",
        "option-docker": "--privileged",
        "git-ext": f"ext::sh -c {touch.replace(' ', '% ')}",
        "git-file": "file:///etc",
        "git-ssh-host": f"ssh://-oProxyCommand={touch.replace(' ', '${IFS}')}/x",
        "git-fd": "fd::17/x",
        "url-metadata": "http://169.254.169.254/latest/meta-data/",
        "url-credentials": "https://user:pass@127.0.0.1:1/x.git",
        "path-up": "../" * 12 + mark.lstrip("/"),
        "path-absolute": mark,
        "path-encoded": "..%2f" * 8 + "etc%2fpasswd",
        "path-dots": "....//....//etc/passwd",
        "path-backslash": "..\\..\\windows\\win.ini",
        "path-dot": ".",
        "path-proc": "/proc/self/environ",
        "sql-quote": "' OR '1'='1",
        "sql-drop": "'; DROP TABLE projects; --",
        "sql-union": "x') UNION SELECT hash FROM tokens --",
        "sql-parameters": "$1 $2 ? :a @b %s",
        "sql-like": "%_%",
        "json": '","is_secret":true,"x":"',
        "crlf": "a\r\nX-Injected: 1\r\n\r\n<b>",
        "lf-haproxy": "a\n  server evil 127.0.0.1:1\nbackend evil",
        "haproxy-format": "%[env(HOME)] %[src]",
        "dockerfile": f"a\nRUN {touch}\n",
        "yaml": "a: b\n- c: &x [*x]\n!!python/object:os.system {}",
        "template": "{{7*7}} ${7*7} #{7*7} <%= 7*7 %> %{7*7}",
        "log4j": "${jndi:ldap://127.0.0.1:1/a}",
        "html": "<script>alert(1)</script>",
        "format": "%n%s%x%99999999d",
        "log-line": 'a\n{"time":"2000-01-01T00:00:00Z","level":"error","event":"forged"}',
        "terminal-title": "\x1b]0;owned\x07",
        "terminal-clear": "\x1b[2J\x1b[H\x1b[31mowned",
        "terminal-c1": "\x9b31mowned\x9d0;owned\x9c",
        "terminal-backspace": "good\b\b\b\bevil\x7f",
        "terminal-hyperlink": "\x1b]8;;http://127.0.0.1:1\x1b\\here\x1b]8;;\x1b\\",
        "bidi": "\u202egpj.exe\u202c \u2066x\u2069 \u061c",
        "zero-width": "a\u200b\u200d\ufeffb",
        "confusable": "\u0430dmin \u212aelvin \u0131",
        "separators": "a\u2028b\u2029c\u0085d",
        "combining": "e" + "\u0301" * 200,
        "noncharacter": "a\uffff\U0010fffe",
        "emoji": "👩‍💻🏳️‍🌈",
        "nul": "a\0b",
        "nul-extension": "Dockerfile\0.txt",
        "controls": "".join(map(chr, range(1, 32))),
        "blank": " ",
        "blanks": "\t a \u00a0\u3000",
        "long": "A" * 70000,
        "number": "1e999999999",
        "reserved": "__proto__",
    }


def raw_json():
    """Name → JSON text of a string that no text is: what an encoder would not write."""
    return {
        "overlong-slash": b'"..\xc0\xaf..\xc0\xafetc"',
        "overlong-nul": b'"a\xc0\x80b"',
        "overlong-three": b'"\xe0\x80\xaf"',
        "surrogate": b'"\xed\xa0\x80"',
        "surrogate-escape": b'"\\ud800"',
        "surrogate-reversed": b'"\\udc00\\ud800"',
        "beyond-unicode": b'"\xf4\x90\x80\x80"',
        "lone-continuation": b'"\x80"',
        "cut": b'"\xe2\x82"',
        "latin-1": b'"caf\xe9"',
        "nul-byte": b'"a\0b"',
        "raw-newline": b'"a\nb"',
    }


def encode(value, raw):
    """JSON bytes of `value`, in which the word RAW stands for the bytes `raw`."""
    return json.dumps(value).encode().replace(b'"RAW"', raw)
