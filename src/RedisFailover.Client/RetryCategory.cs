namespace RedisFailover.Client;

/// <summary>
/// Which writes are sent again whose connection broke before the reply, so that they may be applied twice. Reads always are. The categories
/// are StackExchange.Redis' own, which knows that of each command; each includes the ones before it.
/// </summary>
public enum RetryCategory
{
    /// <summary>None: each ends with <see cref="MayHaveBeenAppliedException"/>. The default.</summary>
    None,

    /// <summary>
    /// Those that check before they write (SET NX): the second time they may say that they were not applied though the first was.
    /// </summary>
    Checked,

    /// <summary>Those too whose last one wins (SET, HSET, DEL): sent again they may undo a later write of somebody else's.</summary>
    LastWins,

    /// <summary>Those too that add up (INCR, LPUSH), and scripts: they may count twice.</summary>
    All,
}
