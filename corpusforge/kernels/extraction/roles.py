"""What an element says about itself by tag, class, id, ARIA role and microdata, as bits.

Sites name their parts in English whatever language they write in. A word counts only where it
stands alone inside a name: ``main-nav``, ``mainNav`` and ``nav`` hold "nav", ``navy`` does not.
The words and their strength were chosen by what they hold on the development pages: share of the
main text against share of the rest, averaged over registered domains.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

SITE = 1  # menu or footer of the site; boilerplate even where it is most of the page
STRONG = 2  # boilerplate unless it is much of the page
WEAK = 4  # boilerplate where it holds no prose
COMMENT = 8  # what readers wrote under a page
HIDDEN = 16  # not shown
CONTENT = 32  # what a page is there for
CARD = 64  # one of several products or teasers
FORUM = 128  # what members wrote

_WORDS = {
    SITE: "contentinfo navigation",
    STRONG: "addthis announcement author authors breadcrumb breadcrumbs byline colophon"
    " complementary consent cookie cookies copyright disclaimer foot footer footnote"
    " footnotes gdpr login masthead megamenu menu menubar menuitem menus minicart nav"
    " navbar navi newsletter notice outbrain pager paginator popup recirc recommend"
    " recommendation recommendations recommended register related share sharedaddy sharer"
    " shares sharing sidebar sidenav signin signup similar sitemap social sponsor"
    " sponsored submenu subnav subscribe taboola taglist taxonomy textwidget toolbar"
    " topbar topnav trending",
    WEAK: "ad ads adsense advert advertisement advertising alert aside banner bio cart children"
    " credit credits cta dateline drawer dropdown form header image language languages"
    " latest legal meta modal pagination popular posts print promo promoted promotion"
    " recent review reviews secondary skip sub subscription tags teaser testimonial"
    " testimonials timestamp tooltip widget",
    COMMENT: "comment commentlist comments disqus respond",
    HIDDEN: "hidden sr visually visuallyhidden",
    CONTENT: "article body content entry hentry main page post prose richtext story text",
    CARD: "box card cards collection entry grid item items list listing product products result"
    " results row tile tiles",
    FORUM: "answer discussion forum message messages post postbody posts question replies reply"
    " thread topic",
}
_TAGS = {
    "nav": SITE,
    "footer": SITE,
    "menu": STRONG,
    "aside": WEAK,
    "figcaption": WEAK,
    "form": WEAK,
    "header": WEAK,
    "noscript": WEAK,
}
_NAMES = frozenset(("class", "id", "role", "itemprop"))
_LONGEST = 300  # characters of a name that are read
_BITS: dict[str, int] = {}
for _bit, _words in _WORDS.items():
    for _word in _words.split():
        for _form in (_word, _word.capitalize(), _word.upper()):
            _BITS[_form] = _BITS.get(_form, 0) | _bit
_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+")


@lru_cache(maxsize=1 << 15)
def _bits(name: str) -> int:
    found = 0
    for word in _WORD.findall(name):
        found |= _BITS.get(word, 0)
    return found


def read(tag: str, attributes: Mapping[str, str | None]) -> int:
    """Return the bits of an element."""
    bits = _TAGS.get(tag, 0)
    if not attributes:
        return bits
    for key, value in attributes.items():
        if key in _NAMES:
            if value:
                bits |= _bits(value[:_LONGEST])
        elif key == "style":
            if value and "none" in value and "display:none" in value.replace(" ", ""):
                bits |= HIDDEN
        elif key == "hidden" or (key == "aria-hidden" and value == "true"):
            bits |= HIDDEN
    return bits
