"""Opens the disk behind the prefix cache, if the configuration gives it room."""

from lmx_hookspecs import Logger, ModelInfo
from lmx_hookspecs.places import home
from lmx_mlx.config import MlxConfig
from lmx_mlx.disk_cache import DiskCache
from lmx_mlx.fingerprint import identity_of
from lmx_mlx.model import LoadedModel
from lmx_mlx.prefix_cache import PrefixCache
from lmx_mlx.saving import DiskTier

FOLDER = "prefix-caches"


def disk_tier(
    log: Logger, memory: PrefixCache, model: LoadedModel, info: ModelInfo, config: MlxConfig
) -> DiskTier | None:
    """None where there is no room for it, or no folder can be made: then the log says why, and the model runs on."""
    if config.prefix_cache_disk_bytes == 0:
        return None
    facts = {"dtypes": model.details["dtypes"], "kv_cache": model.details["kv_cache"]}
    folders = [folder for folder in (info.path, info.adapter) if folder is not None]
    disk = DiskCache(
        root=home() / FOLDER,
        identity=identity_of(folders, facts),
        max_bytes=config.prefix_cache_disk_bytes,
        log=log,
    )
    try:
        disk.open()
    except OSError as error:
        log.warning("prefix_cache_has_no_folder", folder=str(disk.folder), reason=str(error))
        return None
    return DiskTier(memory=memory, disk=disk)
