namespace RedisFailover.Client.Extensions;

/// <summary>
/// The settings of a section of the configuration. Those that are missing have the defaults of <see cref="FailoverOptions"/>, where
/// each is explained. Times are written as "00:00:10" or "00:00:00.250".
/// </summary>
public sealed class RedisFailoverSettings
{
    /// <summary>
    /// The ZooKeeper servers and the root of the cluster: "zk1:2181,zk2:2181,zk3:2181/redis_failover". The one setting that must be
    /// given.
    /// </summary>
    public string? ZooKeeper { get; set; }

    /// <inheritdoc cref="FailoverOptions.User"/>
    public string? User { get; set; }

    /// <inheritdoc cref="FailoverOptions.Password"/>
    public string? Password { get; set; }

    /// <inheritdoc cref="FailoverOptions.PasswordFile"/>
    public string? PasswordFile { get; set; }

    /// <inheritdoc cref="FailoverOptions.Tls"/>
    public TlsSettings? Tls { get; set; }

    /// <inheritdoc cref="FailoverOptions.ZooKeeperAuthFile"/>
    public string? ZooKeeperAuthFile { get; set; }

    /// <inheritdoc cref="FailoverOptions.ZooKeeperTls"/>
    public TlsSettings? ZooKeeperTls { get; set; }

    /// <inheritdoc cref="FailoverOptions.WriteWait"/>
    public TimeSpan? WriteWait { get; set; }

    /// <inheritdoc cref="FailoverOptions.ConnectTimeout"/>
    public TimeSpan? ConnectTimeout { get; set; }

    /// <inheritdoc cref="FailoverOptions.OperationTimeout"/>
    public TimeSpan? OperationTimeout { get; set; }

    /// <inheritdoc cref="FailoverOptions.SessionTimeout"/>
    public TimeSpan? SessionTimeout { get; set; }

    /// <inheritdoc cref="FailoverOptions.ReadFrom"/>
    public ReadFrom? ReadFrom { get; set; }

    /// <inheritdoc cref="FailoverOptions.MaxReplicaLag"/>
    public TimeSpan? MaxReplicaLag { get; set; }

    /// <inheritdoc cref="FailoverOptions.RetryAmbiguous"/>
    /// <remarks>None, Checked, LastWins or All; also true (All) and false (None).</remarks>
    public string? RetryAmbiguous { get; set; }

    /// <inheritdoc cref="FailoverOptions.WhenDisconnected"/>
    public WhenDisconnected? WhenDisconnected { get; set; }

    /// <inheritdoc cref="FailoverOptions.TopologyCacheFile"/>
    public string? TopologyCacheFile { get; set; }

    /// <summary>Where this application runs: nodes that <see cref="Zones"/> puts there are preferred for reads, or, without Zones, those
    /// whose tag says so
    /// (<see cref="FailoverOptions.Zone"/>). Default null: no preference.</summary>
    public string? Zone { get; set; }

    /// <summary>
    /// The zone of each node, by its zone's name: { "a": ["redis1:6379"], "b": ["redis2:6379", "redis3:6379"] }. Nodes that are not named
    /// are in no zone.
    /// </summary>
    public Dictionary<string, string[]> Zones { get; set; } = [];

    /// <summary>The settings as the client's options; what is not set keeps its default.</summary>
    internal FailoverOptions ToOptions()
    {
        FailoverOptions defaults = new();
        return new FailoverOptions
        {
            User = User,
            Password = Password,
            PasswordFile = PasswordFile,
            Tls = Tls,
            ZooKeeperAuthFile = ZooKeeperAuthFile,
            ZooKeeperTls = ZooKeeperTls,
            Zone = Zones.Count == 0 ? Zone : null,
            WriteWait = WriteWait ?? defaults.WriteWait,
            ConnectTimeout = ConnectTimeout ?? defaults.ConnectTimeout,
            OperationTimeout = OperationTimeout ?? defaults.OperationTimeout,
            SessionTimeout = SessionTimeout ?? defaults.SessionTimeout,
            ReadFrom = ReadFrom ?? defaults.ReadFrom,
            MaxReplicaLag = MaxReplicaLag,
            RetryAmbiguous = Category() ?? defaults.RetryAmbiguous,
            WhenDisconnected = WhenDisconnected ?? defaults.WhenDisconnected,
            TopologyCacheFile = TopologyCacheFile,
            PreferNode = Zone is { } zone && Zones.TryGetValue(zone, out string[]? near)
                ? Preferring([.. near.Select(NodeAddress.Parse)]) : null,
        };
    }

    /// <summary>Null for what is not set; a number that is no category for what is none.</summary>
    private RetryCategory? Category() => RetryAmbiguous?.ToUpperInvariant() switch
    {
        null => null,
        "TRUE" => RetryCategory.All,
        "FALSE" => RetryCategory.None,
        _ => Enum.TryParse(RetryAmbiguous, ignoreCase: true, out RetryCategory category) ? category : (RetryCategory)(-1),
    };

    private static Func<NodeAddress, bool> Preferring(HashSet<NodeAddress> near) => near.Contains;
}
