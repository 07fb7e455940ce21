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
    /// Those that change nothing the second time, or check before they write (DEL, SADD, SET NX): the second time they may say that they
    /// were not applied though the first was, and they may undo what somebody else did in between.
    /// </summary>
    Checked,

    /// <summary>Those too whose last one wins (SET, HSET, EXPIRE): sent again they may undo a later write of somebody else's.</summary>
    LastWins,

    /// <summary>Those too that add up or go by position (INCR, LPUSH, LTRIM), and scripts: they may count twice.</summary>
    All,
}
