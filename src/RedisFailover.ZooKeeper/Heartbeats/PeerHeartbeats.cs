using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Runtime.CompilerServices;

namespace RedisFailover.ZooKeeper;

/// <summary>The heartbeats of the other processes, each followed from when it is seen until it has been gone for a while.</summary>
internal sealed class PeerHeartbeats
{
    private static readonly TimeSpan RememberGone = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<string, HeartbeatWatch> _others = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private readonly ZooKeeperClient _client;
    private readonly LeaseOptions _options;

    internal PeerHeartbeats(ZooKeeperClient client, LeaseOptions options)
    {
        (_client, _options) = (client, options);
        _ = Task.Run(FollowOthersAsync);
    }

    /// <summary>All others whose heartbeats are there.</summary>
    internal ImmutableArray<Peer> Present
        => _client.Session is { } own ? [.. Sightings.Where(static s => !s.IsGone && s.Session != 0).Select(s => PeerBy(s, own))] : [];

    private IEnumerable<Sighting> Sightings => _others.Values.Select(static w => w.Current).OfType<Sighting>();

    /// <summary>What the heartbeats say of the process that has this session; null if it has none, as one of an older release.</summary>
    /// <param name="session">The session, as <see cref="ZnodeStat.EphemeralOwner"/> of its other znodes tells it.</param>
    internal Peer? Of(long session)
        => _client.Session is { } own && Sightings.Where(s => s.Session == session).MaxBy(static s => s.SeenAt) is { } latest
            ? PeerBy(latest, own) : null;

    private Peer PeerBy(Sighting seen, ZooKeeperSession own)
    {
        bool silent = seen.IsGone || (own.State == ZooKeeperSessionState.Connected
            && _client.Time.GetElapsedTime(seen.SameSince(own)) > LeaseRules.SilentAfter(seen.Lease));
        return new Peer(seen.Owner, seen.Session, silent, seen.HasChanged && !silent, seen.Lease, seen.Write);
    }

    /// <summary>The heartbeat at that path; followed from now on.</summary>
    internal HeartbeatWatch Watch(string path)
    {
        if (_others.TryGetValue(path, out HeartbeatWatch? known))
        {
            return known;
        }

        // One alone: each reads at every beat.
        lock (_gate)
        {
            return _others.GetOrAdd(path, static (p, client) => new HeartbeatWatch(client, p), _client);
        }
    }

    private async Task FollowOthersAsync()
    {
        WatchedChildren names = _client.WatchChildren(_options.HeartbeatsPath);
        await using ConfiguredAsyncDisposable disposing = names.ConfigureAwait(false);
        string parent = _options.HeartbeatsPath == "/" ? "" : _options.HeartbeatsPath;
        try
        {
            await foreach (ImmutableArray<string>? now in names.ChangesAsync(_client.Disposing).ConfigureAwait(false))
            {
                string own = $"{_options.Owner}-{_client.Session?.SessionId ?? 0:x}-";
                foreach (string name in now ?? [])
                {
                    if (!name.StartsWith(own, StringComparison.Ordinal))
                    {
                        Watch($"{parent}/{name}");
                    }
                }

                await ForgetGoneAsync().ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            foreach (HeartbeatWatch watch in _others.Values)
            {
                await watch.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    /// <summary>A heartbeat's path is never made again: once it is gone it stays so.</summary>
    private async Task ForgetGoneAsync()
    {
        foreach ((string path, HeartbeatWatch watch) in _others)
        {
            if (watch.Current is { IsGone: true } gone && _client.Time.GetElapsedTime(gone.SeenAt) > RememberGone
                && _others.TryRemove(path, out _))
            {
                await watch.DisposeAsync().ConfigureAwait(false);
            }
        }
    }
}
