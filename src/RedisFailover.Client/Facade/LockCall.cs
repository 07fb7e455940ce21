namespace RedisFailover.Client;

/// <summary>LockRelease and LockExtend as one script: for 3.4's transaction a master that hangs holds the sending thread.</summary>
internal readonly struct LockCall : ICall<bool>
{
    private readonly object[] _arguments;

    private LockCall(string script, RedisKey key, RedisValue token, params object[] more)
        => _arguments = token.IsNull ? throw new ArgumentNullException(nameof(token)) : [script, 1, key, token, .. more];

    public static LockCall Release(RedisKey key, RedisValue token)
        => new("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0", key, token);

    public static LockCall Extend(RedisKey key, RedisValue token, TimeSpan expiry)
        => new("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0",
            key, token, (long)expiry.TotalMilliseconds);

    public async Task<bool> SendAsync(IDatabaseAsync target, CommandFlags flags)
        => (bool)await target.ExecuteAsync("EVAL", _arguments, flags).ConfigureAwait(false);
}
