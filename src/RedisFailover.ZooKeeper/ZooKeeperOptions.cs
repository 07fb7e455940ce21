using System.Collections.Immutable;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.Extensions.Logging;

namespace RedisFailover.ZooKeeper;

/// <summary>How to reach an ensemble. One object serves any number of sessions; change a copy with <c>with</c>.</summary>
public sealed record ZooKeeperOptions
{
    /// <summary>The servers and the chroot. Required.</summary>
    public required ZooKeeperConnectionString Connection { get; init; }

    /// <summary>
    /// The session timeout T to ask for. Default 4 s, from 100 ms to 1 h. The server clamps it to 2 to 20 of its ticks;
    /// <see cref="ZooKeeperSession.SessionTimeout"/> tells the outcome. Everything else follows from it: a ping after T/3 of silence,
    /// a connection given up after 2T/3, local expiry after 4/3 T; a lease is never longer than T/2.
    /// </summary>
    public TimeSpan SessionTimeout { get; init; } = TimeSpan.FromSeconds(4);

    /// <summary>Credentials sent on every connection, before anything else. Default none.</summary>
    public ImmutableArray<ZooKeeperAuth> Auth { get; init; } = [];

    /// <summary>
    /// Credentials that are asked for anew at every connection, in place of <see cref="Auth"/>: they may change while a session lives
    /// (<see cref="ZooKeeperClient.Reconnect"/>). Default null.
    /// </summary>
    public Func<ImmutableArray<ZooKeeperAuth>>? AuthSource { get; init; }

    /// <summary>
    /// TLS that is asked for anew at every connection, in place of <see cref="Tls"/>: certificates may change. Default null.
    /// </summary>
    public Func<ZooKeeperTls>? TlsSource { get; init; }

    /// <summary>
    /// The access control list of each znode that is created without one of its own, by its path; an empty one for
    /// <see cref="ZnodeAcl.Open"/>. Default null: all are open.
    /// </summary>
    public Func<string, ImmutableArray<ZnodeAcl>>? AclOf { get; init; }

    /// <summary>TLS to the servers; null (default) for plain TCP.</summary>
    public ZooKeeperTls? Tls { get; init; }

    /// <summary>The one source of time. Default <see cref="TimeProvider.System"/>.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>
    /// Where the client tells of its transitions; null (default) for nowhere. Lines are written in order, on the thread pool, a moment
    /// after what they tell of: a logger that blocks or throws holds up nothing. While it blocks, up to 1,024 lines wait for it; of more,
    /// their number is told.
    /// </summary>
    public ILoggerFactory? LoggerFactory { get; init; }

    /// <summary>The longest pause between two attempts to reconnect. Default (null) and at most the lesser of 1 s and T/6.</summary>
    public TimeSpan? ReconnectWithin { get; init; }

    /// <summary>For tests: the request number that a session goes on from, to see it wrap around.</summary>
    internal int LastXid { get; init; }

    /// <summary>For tests: without a connection for so long the session is given up, instead of 4/3 T.</summary>
    internal TimeSpan? GivesUpAfter { get; init; }

    /// <summary>For tests: the shortest attempt to reconnect; a script may answer more slowly than any server.</summary>
    internal TimeSpan ShortestAttempt { get; init; } = TimeSpan.FromMilliseconds(150);

    /// <summary>How a host's name becomes addresses. Default (null) the system's resolver.</summary>
    internal Func<string, CancellationToken, Task<IPAddress[]>>? Resolve { get; init; }

    /// <summary>Told why a server cannot be reached while there is no session, each reason once a session. Default null.</summary>
    internal Action<string>? CannotReach { get; init; }

    /// <summary>Refuses what would otherwise fail, or wait for ever, in the background.</summary>
    internal static ZooKeeperOptions Validate(ZooKeeperOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(options.Connection);
        ArgumentNullException.ThrowIfNull(options.TimeProvider);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.SessionTimeout, TimeSpan.FromMilliseconds(100));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.SessionTimeout, TimeSpan.FromHours(1));
        return options.Auth.IsDefault || !options.Auth.Contains(null!)
            ? options : throw new ArgumentException("One of the credentials is null.", nameof(options));
    }
}

/// <summary>Credentials of a session.</summary>
public sealed class ZooKeeperAuth
{
    private readonly byte[] _credentials;

    /// <summary>Credentials in the scheme's own form.</summary>
    /// <param name="scheme">The scheme, for instance <c>digest</c>.</param>
    /// <param name="credentials">What the scheme wants; for digest "user:password" in UTF-8.</param>
    public ZooKeeperAuth(string scheme, ReadOnlySpan<byte> credentials)
    {
        ArgumentException.ThrowIfNullOrEmpty(scheme);
        Scheme = scheme;
        _credentials = credentials.ToArray();
    }

    /// <summary>The scheme.</summary>
    public string Scheme { get; }

    internal ReadOnlySpan<byte> Credentials => _credentials;

    /// <summary>A user and a password for the scheme <c>digest</c>. They cross the wire in the clear unless TLS is used.</summary>
    public static ZooKeeperAuth Digest(string user, string password)
    {
        ArgumentException.ThrowIfNullOrEmpty(user);
        ArgumentNullException.ThrowIfNull(password);
        return new ZooKeeperAuth("digest", Encoding.UTF8.GetBytes($"{user}:{password}"));
    }

    /// <summary>The scheme alone: credentials never reach a log.</summary>
    public override string ToString() => $"{Scheme}:***";
}

/// <summary>TLS to the ensemble.</summary>
public sealed record ZooKeeperTls
{
    /// <summary>The authorities to trust instead of the system's; empty (default) for the system's.</summary>
    public ImmutableArray<X509Certificate2> Authorities { get; init; } = [];

    /// <summary>The certificate that this client shows, with its private key; null (default) for none.</summary>
    public X509Certificate2? ClientCertificate { get; init; }

    /// <summary>
    /// Whether the servers' certificates may carry any name, as long as one of the authorities vouches for them. Default false.
    /// </summary>
    public bool AcceptsAnyName { get; init; }

    /// <summary>The name that the servers' certificates must carry; null (default) for the host name of the connection string.</summary>
    public string? ServerName { get; init; }
}
