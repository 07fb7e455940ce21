namespace RedisFailover;

/// <summary>Which server answers, and which data files of others it can read.</summary>
/// <param name="Name">"redis" or "valkey".</param>
/// <param name="Version">Its own version: "7.4.1", and of Valkey not that of the Redis with which it is compatible.</param>
internal sealed record ServerSoftware(string Name, string Version)
{
    private static readonly (string Name, Version Since, int Rdb)[] Formats =
    [
        ("valkey", new Version(9, 0), 80), ("valkey", new Version(7, 2), 11),
        ("redis", new Version(7, 4), 12), ("redis", new Version(7, 2), 11), ("redis", new Version(7, 0), 10),
        ("redis", new Version(5, 0), 9), ("redis", new Version(4, 0), 8), ("redis", new Version(3, 2), 7), ("redis", new Version(2, 8), 6),
    ];

    /// <summary>
    /// The version of the RDB format that it writes for a full copy; it reads this and those below. Null where it is not known.
    /// </summary>
    public int? RdbVersion => Parse(Version) is not { } version ? null
        : Formats.Where(f => f.Name == Name && version >= f.Since).Select(f => (int?)f.Rdb).FirstOrDefault();

    /// <summary>"redis 7.0.15".</summary>
    public override string ToString() => $"{Name} {Version}";

    /// <summary>Whether it can load a full copy that the other sends; where that is not known it counts as able to.</summary>
    public bool CanRead(ServerSoftware other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return RdbVersion is not { } mine || other.RdbVersion is not { } theirs || theirs <= mine;
    }

    /// <summary>"8.0-m01" and "7.2.4-rc1" count as the version that they lead to.</summary>
    private static Version? Parse(string text)
        => System.Version.TryParse(text.Split('-')[0], out Version? version) ? version : null;
}
