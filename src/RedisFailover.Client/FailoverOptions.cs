using Microsoft.Extensions.Logging.Abstractions;

namespace RedisFailover.Client;

/// <summary>
/// How a <see cref="FailoverConnection"/> behaves. Every setting has a default that suits most; change them with <c>with</c>.
/// </summary>
public sealed record FailoverOptions
{
    /// <summary>The Redis ACL user. Default null: the user "default".</summary>
    public string? User { get; init; }

    /// <summary>The Redis password. Default null: none. Never logged.</summary>
    public string? Password { get; init; }

    /// <summary>
    /// A file with the Redis password in place of <see cref="Password"/>, read again at each login. Of several lines one after the other is
    /// tried, during a rotation the old and the new one. Default null.
    /// </summary>
    public string? PasswordFile { get; init; }

    /// <summary>The password by <see cref="PasswordFile"/>; null without one.</summary>
    internal LoginProvider? Login
        => PasswordFile is not { } file ? null : field?.File == file ? field : field = new LoginProvider(new SecretFile(file));

    /// <summary>TLS to Redis. Default null: none, or what <see cref="ConfigureNode"/> says.</summary>
    public TlsSettings? Tls { get; init; }

    /// <summary>
    /// A file with "user:password" (digest) for ZooKeeper, one a line, read again at each connection. Default null: none.
    /// </summary>
    public string? ZooKeeperAuthFile { get; init; }

    /// <summary>TLS to ZooKeeper. Default null: none.</summary>
    public TlsSettings? ZooKeeperTls { get; init; }

    /// <summary>
    /// Where this application runs: replicas whose tag names the same zone are preferred for reads. Default null;
    /// <see cref="PreferNode"/> wins.
    /// </summary>
    public string? Zone { get; init; }

    /// <summary>
    /// How long a call waits for a node that can take it (a write while there is no master), all its retries included, before it
    /// ends with <see cref="NotAppliedException"/>. Default 10 s; 0 (do not wait) to 10 minutes.
    /// </summary>
    public TimeSpan WriteWait { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long connecting waits for ZooKeeper, the topology and the master; also the deadline of each connection to a
    /// node. Other nodes that hang delay it by 250 ms at most. Default 10 s; 100 ms to 10 minutes.
    /// </summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a node may stay silent before its calls in flight are ended and its connection replaced. Default 5 s;
    /// 50 ms to 10 minutes. Blocking calls end after it, asynchronous ones after it and at most a tenth more. A node that answers, however
    /// many calls wait and however long the reply, is not silent: an asynchronous call may take longer than this. A command that keeps
    /// Redis busy for longer is ended too, as is a value that takes longer to send: raise it when yours do.
    /// </summary>
    public TimeSpan OperationTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The ZooKeeper session's timeout. Default 4 s; 100 ms to 10 minutes; the servers clamp it to their own limits.</summary>
    public TimeSpan SessionTimeout { get; init; } = TimeSpan.FromSeconds(4);

    /// <summary>Which node answers reads. Default <see cref="ReadFrom.PreferReplica"/>.</summary>
    public ReadFrom ReadFrom { get; init; }

    /// <summary>
    /// Reads go only to replicas that are known to be behind by no more than this: to those that hold every write which was
    /// acknowledged so long ago. Default null: to any. 20 ms to 10 minutes. The master and the replicas are asked with INFO replication
    /// four times within it (once a second at least), so the figure includes the asking. While the master cannot be asked, nothing
    /// is known: after this time reads wait, or go to the master, as <see cref="ReadFrom"/> says of missing replicas.
    /// </summary>
    public TimeSpan? MaxReplicaLag { get; init; }

    /// <summary>
    /// The nodes to read from as long as one of them is connected and within <see cref="MaxReplicaLag"/>, for example those of this zone.
    /// Default null: no preference. Asked once for each connection to a node.
    /// </summary>
    public Func<NodeAddress, bool>? PreferNode { get; init; }

    /// <summary>
    /// Which writes are sent again whose connection broke before the reply. Default <see cref="RetryCategory.None"/>: they end with
    /// <see cref="MayHaveBeenAppliedException"/>. What a call's own CommandFlags.CommandRetry… say goes first; for single databases see
    /// <see cref="FailoverDatabaseExtensions.AsIdempotent"/>.
    /// </summary>
    public RetryCategory RetryAmbiguous { get; init; }

    /// <summary>
    /// What becomes of writes while ZooKeeper cannot be reached. Default <see cref="WhenDisconnected.Serve"/>.
    /// </summary>
    public WhenDisconnected WhenDisconnected { get; init; }

    /// <summary>
    /// A file that keeps the last topology, so that the application can start while ZooKeeper is down: when half of
    /// <see cref="ConnectTimeout"/> has passed without a topology, the one in the file is used. Default null: none is kept.
    /// One file for each cluster and process, readable by its owner alone.
    /// </summary>
    public string? TopologyCacheFile { get; init; }

    /// <summary>
    /// Changes what StackExchange.Redis is configured with for each node: TLS, ClientName and the like. Default null. Asked for each
    /// connection, and whenever the configuration is. The end point, the timeouts and what this library depends on are set afterwards.
    /// </summary>
    public Action<ConfigurationOptions>? ConfigureNode { get; init; }

    /// <summary>Where the log goes, under the category "RedisFailover.Client". Default: nowhere.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    /// <summary>The source of time. Default <see cref="TimeProvider.System"/>; tests give their own.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>
    /// Whether figures and traces (<see cref="FailoverDiagnostics"/>) tell of it. False for the <see cref="Warmup"/>, which nobody shall
    /// take for real.
    /// </summary>
    internal bool IsTold { get; init; } = true;

    /// <summary>Every setting but the password.</summary>
    public override string ToString()
        => $"WriteWait {WriteWait:c}, ConnectTimeout {ConnectTimeout:c}, OperationTimeout {OperationTimeout:c}, SessionTimeout "
            + $"{SessionTimeout:c}, "
            + $"ReadFrom {ReadFrom}, MaxReplicaLag {MaxReplicaLag?.ToString("c") ?? "any"}, RetryAmbiguous {RetryAmbiguous}, "
            + $"WhenDisconnected {WhenDisconnected}, password {(Password is null ? "none" : "given")}";

    /// <summary>Throws when a setting is out of range.</summary>
    /// <exception cref="ArgumentException">Settings are wrong; the message names each on a line, with what was given and what is
    /// allowed.</exception>
    internal FailoverOptions Validate()
    {
        string[] problems = [.. Problems("FailoverOptions.")];
        return problems.Length == 0 ? this with { LoggerFactory = ToleratedLogger.FactoryOf(LoggerFactory) }
            : throw new ArgumentException(string.Join(Environment.NewLine, problems));
    }

    /// <summary>One line for each setting that is wrong.</summary>
    /// <param name="prefix">Put before the names of the settings.</param>
    internal IEnumerable<string> Problems(string prefix)
    {
        TimeSpan most = TimeSpan.FromMinutes(10);
        string?[] problems =
        [
            Within(nameof(WriteWait), WriteWait, TimeSpan.Zero, most),
            Within(nameof(ConnectTimeout), ConnectTimeout, TimeSpan.FromMilliseconds(100), most),
            Within(nameof(OperationTimeout), OperationTimeout, TimeSpan.FromMilliseconds(50), most),
            Within(nameof(SessionTimeout), SessionTimeout, TimeSpan.FromMilliseconds(100), most),
            MaxReplicaLag is { } lag ? Within(nameof(MaxReplicaLag), lag, TimeSpan.FromMilliseconds(20), most) : null,
            OneOf(nameof(ReadFrom), ReadFrom),
            OneOf(nameof(WhenDisconnected), WhenDisconnected),
            OneOf(nameof(RetryAmbiguous), RetryAmbiguous),
            TopologyCacheFile is "" ? Wrong(nameof(TopologyCacheFile), "empty", "a path, or null") : null,
            TopologyCacheFile is { Length: > 0 } file && FileKind.Fault(file) is { } fault
                ? Wrong(nameof(TopologyCacheFile), $"\"{file.Replace("\0", "\\0", StringComparison.Ordinal)}\", {fault}",
                    "the path of a regular file, which need not exist yet, or null")
                : null,
            Unreadable(nameof(PasswordFile), PasswordFile),
            Unreadable(nameof(ZooKeeperAuthFile), ZooKeeperAuthFile),
            Tls?.Fault() is { } tls ? Wrong(nameof(Tls), tls, "readable PEM files") : null,
            ZooKeeperTls?.Fault() is { } zooKeeperTls ? Wrong(nameof(ZooKeeperTls), zooKeeperTls, "readable PEM files") : null,
        ];
        return problems.OfType<string>().Select(problem => prefix + problem);
    }

    private static string? Unreadable(string name, string? file)
    {
        try
        {
            return file is null || !new SecretFile(file).Read().IsEmpty ? null : Wrong(name, file, "a file that is not empty");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Wrong(name, file!, $"a readable file ({e.Message})");
        }
    }

    private static string? Within(string name, TimeSpan value, TimeSpan least, TimeSpan most)
        => value < least || value > most ? Wrong(name, value.ToString("c"), $"{least:c} to {most:c}") : null;

    private static string? OneOf<T>(string name, T value)
        where T : struct, Enum
        => Enum.IsDefined(value) ? null : Wrong(name, value.ToString(), string.Join(", ", Enum.GetNames<T>()));

    private static string Wrong(string name, string given, string allowed) => $"{name} is {given}; allowed: {allowed}.";
}
