using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// One process' heartbeat: an ephemeral znode that is written every third of a lease, from a thread of its own. The same write renews the
/// leases of all leads that the process has, each behind its fence: whoever sees the heartbeat stand still knows when they have ended.
/// Follows the heartbeats of the others as well. Lives as long as its client.
/// </summary>
public sealed class LeaseKeeper
{
    private readonly LeaseOptions _options;
    private readonly MeasuredLease _length;
    private readonly OwnHeartbeat _own;
    private readonly LeaseRenewal _renewal;
    private readonly BeatThread _thread;
    private readonly PeerHeartbeats _peers;

    /// <summary>Begins to beat with the client's next session.</summary>
    /// <param name="client">Whose sessions to use.</param>
    /// <param name="options">How.</param>
    /// <exception cref="ArgumentException">A path or the name is malformed, or the length is less than 100 ms.</exception>
    public LeaseKeeper(ZooKeeperClient client, LeaseOptions options)
    {
        ArgumentNullException.ThrowIfNull(client);
        (Client, _options) = (client, LeaseOptions.Validate(options));
        _length = new MeasuredLease(options.Length, client.Time);
        _peers = new PeerHeartbeats(client, _options);
        _renewal = new LeaseRenewal(client, _options.Owner, _length, () => _thread!.Hasten());
        var resignation = new OwnResignation(client, _renewal, _length, _peers);
        _thread = new BeatThread(client, () => _own?.Current, _length, _renewal, lease =>
        {
            resignation.ResignWhereDue(lease);
            return IsAlive;
        });
        _own = new OwnHeartbeat(client, _options, _length, _thread.Look);
        _thread.Start();
    }

    /// <summary>What the leases are like at this moment.</summary>
    public LeaseStatus Status
        => _length.Read(_own.Current?.Session.SessionTimeout ?? Client.SessionTimeout, _renewal.NotHeldFor);

    /// <summary>All others whose heartbeats are there.</summary>
    public ImmutableArray<Peer> Peers => _peers.Present;

    internal ZooKeeperClient Client { get; }

    internal string Owner => _options.Owner;

    internal string HeartbeatsPath => _options.HeartbeatsPath;

    internal bool IsAlive => _options.IsAlive?.Invoke() != false;

    /// <summary>The path of this process' heartbeat; null while there is none.</summary>
    internal string? HeartbeatPath => _own.Current?.Path;

    /// <summary>What sends the beats, and what is renewed by them.</summary>
    internal LeaseRenewal Renewal => _renewal;

    /// <summary>What the heartbeats say of the process that has this session; null if it has none, as one of an older release.</summary>
    /// <param name="session">The session, as <see cref="ZnodeStat.EphemeralOwner"/> of its other znodes tells it.</param>
    public Peer? PeerOf(long session) => _peers.Of(session);

    /// <inheritdoc cref="OwnHeartbeat.OfAsync"/>
    internal Task<SessionHeartbeat> HeartAsync(ZooKeeperSession session, CancellationToken cancellationToken)
        => _own.OfAsync(session, cancellationToken);

    /// <summary>The heartbeat at that path; followed from now on.</summary>
    internal HeartbeatWatch Watch(string path) => _peers.Watch(path);

    /// <summary>
    /// Another took over while this process was connected and beating all the time: the lease is too short for this ensemble.
    /// </summary>
    internal void Deposed()
    {
        if (_own.Current is { } heart && Client.Time.GetElapsedTime(Math.Max(heart.LateAt, heart.Session.ConnectedAt))
            > 2 * LeaseRules.SilentAfter(_length.Length(heart.Session.SessionTimeout)))
        {
            _length.Deposed();
        }
    }
}
