"""What kernel, supervisor, app host and page say to each other: one frozen struct a message, JSON on every wire.

Three conversations, three unions, each told apart by the field `type`:

- controller (kernel, CLI) and supervisor, over a WebSocket: `Request` one way; `Reply`, `Refusal` and `News` back;
- supervisor and app host, over the inherited socketpair: `ToHost` and `FromHost`, each frame led by its length;
- page and supervisor, over a WebSocket or through the page's host: `FromPage` and `ToPage`, beside FDC3's own DACP
  messages, which are recognised by their `meta` and travel untouched.

A `place` is the name of an app on the platform ("ticker-list", "ticker-list-2"); an `instance` is the FDC3
instanceId of the process or page that fills it at the moment.
"""

from .briefs import *  # noqa: F403
from .choosing import *  # noqa: F403
from .controller import *  # noqa: F403
from .host import *  # noqa: F403
from .input import *  # noqa: F403
from .overheard import *  # noqa: F403
from .page import *  # noqa: F403
from .recalled import *  # noqa: F403
from .reports import *  # noqa: F403
from .shown import *  # noqa: F403
from .starting import *  # noqa: F403
from .wire import *  # noqa: F403
from .words import *  # noqa: F403
from .workspaces import *  # noqa: F403
