"""Log text that tries to be more than text."""

SCRIPT = "<script>document.title='owned'</script>"
IMAGE = '"><img src=x onerror="document.title=`owned`">'
TERMINAL = "\x1b]0;owned\x07\x1b[31mred"
MARKDOWN = "](javascript:alert(1)) `code` | **bold** <b>"
TEMPLATE = "{{ 7 * 7 }}{% raw %}"
ALL = (SCRIPT, IMAGE, TERMINAL, MARKDOWN, TEMPLATE)
EVERYTHING = " ".join(ALL)
