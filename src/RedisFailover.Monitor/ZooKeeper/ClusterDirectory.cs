using System.Collections.Immutable;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Options;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// The clusters below one root, <c>R/clusters</c>: each child whose <c>config</c> names nodes is one, until that names none or the child
/// is deleted. A configuration that is missing says nothing: its leader writes it again, as this does where the store has lost all.
/// </summary>
internal sealed class ClusterDirectory(
    MonitorOptions process, ZooKeeperClient zooKeeper, ClusterSet clusters, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    private readonly ZnodePaths _root = new(process.ZnodePath);
    private readonly Channel<bool> _changed = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Dictionary<string, WatchedValue> _configs = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (MonitorOptions Options, ClusterConfig Config)> _known = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _faults = new(StringComparer.Ordinal);

    private static readonly TimeSpan FaultyAnew = TimeSpan.FromSeconds(5);

    /// <summary>When <c>R/clusters</c> was created: another time is another store.</summary>
    private long? _store;

    /// <summary>Keeps the clusters as ZooKeeper has them.</summary>
    internal async Task RunAsync(CancellationToken cancellationToken)
    {
        await using WatchedChildren names = zooKeeper.WatchChildren(_root.Clusters);
        names.Changed += _ => _changed.Writer.TryWrite(true);
        _changed.Writer.TryWrite(true);
        try
        {
            while (await ChangedAsync(cancellationToken))
            {
                try
                {
                    await LookAsync(await zooKeeper.GetSessionAsync(cancellationToken), cancellationToken);
                    clusters.Hindrance = _faults.Where(f => !_known.ContainsKey(f.Key))
                        .Select(f => $"cluster {f.Key} cannot be monitored: {f.Value}").FirstOrDefault();
                }
                catch (ZooKeeperException e)
                {
                    clusters.Hindrance = $"the list of clusters cannot be read: {e.Message}";
                    await Task.Delay(RetryDelay, time, cancellationToken);
                    _changed.Writer.TryWrite(true);
                }
            }
        }
        finally
        {
            await Task.WhenAll(_configs.Values.Select(c => c.DisposeAsync().AsTask()));
        }
    }

    /// <summary>
    /// Waits until something has changed; while a cluster cannot be monitored it is looked at again, as a file may be mended.
    /// </summary>
    private async Task<bool> ChangedAsync(CancellationToken cancellationToken)
    {
        Task<bool> changed = _changed.Reader.ReadAsync(cancellationToken).AsTask();
        if (_faults.Count > 0)
        {
            using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            if (await Task.WhenAny(changed, Task.Delay(FaultyAnew, time, enough.Token)) != changed)
            {
                _changed.Writer.TryWrite(true);
            }

            await enough.CancelAsync();
        }

        return await changed;
    }

    private async Task LookAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        ZnodeStat? parent = await session.ExistsAsync(_root.Clusters, cancellationToken: cancellationToken);
        if (parent?.CreatedZxid != _store && _known.Count > 0)
        {
            await RestoreAsync(session, cancellationToken);
            parent = await session.ExistsAsync(_root.Clusters, cancellationToken: cancellationToken);
        }

        if (parent is null)
        {
            await session.EnsurePathAsync(_root.Clusters, cancellationToken);
            parent = await session.ExistsAsync(_root.Clusters, cancellationToken: cancellationToken);
        }

        _store = parent?.CreatedZxid;
        ImmutableArray<string> names = (await session.GetChildrenAsync(_root.Clusters, null, cancellationToken)).Names;
        await FollowAsync(names);
        foreach (string name in names)
        {
            await SeeAsync(session, name, cancellationToken);
        }

        foreach (string gone in _known.Keys.Concat(_faults.Keys).Except(names).ToArray())
        {
            _known.Remove(gone);
            _faults.Remove(gone);
        }

        await clusters.ChangeAsync([.. _known.Values.Select(k => k.Options)]);
    }

    /// <summary>Follows the configuration of each, for as long as it is there.</summary>
    private async Task FollowAsync(ImmutableArray<string> names)
    {
        foreach (string gone in _configs.Keys.Except(names).ToArray())
        {
            _configs.Remove(gone, out WatchedValue? left);
            await left!.DisposeAsync();
        }

        foreach (string name in names.Where(n => !_configs.ContainsKey(n)))
        {
            _configs[name] = zooKeeper.Watch(_root.Cluster(name).Config);
            _configs[name].Changed += _ => _changed.Writer.TryWrite(true);
        }
    }

    /// <summary>One that may not be read is that cluster's business, and no other's.</summary>
    private async Task SeeAsync(ZooKeeperSession session, string name, CancellationToken cancellationToken)
    {
        try
        {
            See(name, await ConfigAsync(session, name, cancellationToken));
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoAuth)
        {
            Refuse(name, e.Message);
        }
    }

    /// <summary>What the configuration of a cluster says; the nodes of one that is monitored are its own business.</summary>
    private void See(string name, ReadOnlyMemory<byte>? data)
    {
        if (data is null)
        {
            _faults.Remove(name);
            return;
        }

        try
        {
            ClusterConfig config = ClusterConfigJson.Parse(data.Value);
            if (config.Nodes.IsEmpty)
            {
                _known.Remove(name);
                _faults.Remove(name);
                return;
            }

            MonitorOptions options = _known.TryGetValue(name, out (MonitorOptions Options, ClusterConfig Config) known)
                ? known.Options : Begin(name, config);
            _known[name] = (options, config);
            _faults.Remove(name);
        }
        catch (Exception e) when (e is FormatException or OptionException)
        {
            Refuse(name, e.Message);
        }
    }

    /// <summary>One that is monitored goes on by what was known before.</summary>
    private void Refuse(string name, string fault)
    {
        if (_faults.GetValueOrDefault(name) != fault)
        {
            _faults[name] = fault;
            Log.ClusterNotUsable(logger, name, fault);
        }
    }

    private MonitorOptions Begin(string name, ClusterConfig config)
    {
        string path = _root.Cluster(name).Config;
        SettingTexts.Id(new GivenOption("clusters", name, _root.Clusters));
        var nodes = new Dictionary<string, GivenOption>(StringComparer.Ordinal)
        {
            ["nodes"] = new("nodes", string.Join(',', config.Nodes.Select(n => n.Node)), path),
        };
        MonitorOptions options = One(name, nodes, config);
        // By the nodes that they have now, not by those with which they began.
        return ClusterBinder.FaultBeside(
            options, _known.Values.Select(k => k.Options with { Nodes = [.. k.Config.Nodes.Select(n => n.Node)] }).ToArray()) is { } fault
            ? throw new OptionException(fault) : options;
    }

    /// <summary>
    /// The file's settings may not go with these nodes, and the cluster's, which hold in their place, do. Whether they go with
    /// this monitor's other settings is told by the cluster once it runs.
    /// </summary>
    private MonitorOptions One(string name, Dictionary<string, GivenOption> nodes, ClusterConfig config)
    {
        try
        {
            return ClusterBinder.One(process, name, nodes);
        }
        catch (OptionException) when (!config.Settings.IsEmpty)
        {
            foreach ((string setting, string value) in config.Settings.Where(s => Settings.Find(s.Key) is { IsLive: true }))
            {
                nodes[setting] = new GivenOption(setting, value, nodes["nodes"].Source);
            }

            return ClusterBinder.One(process, name, nodes);
        }
    }

    private async Task<ReadOnlyMemory<byte>?> ConfigAsync(ZooKeeperSession session, string name, CancellationToken cancellationToken)
    {
        try
        {
            return (await session.GetDataAsync(_root.Cluster(name).Config, null, cancellationToken)).Data;
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return null;
        }
    }

    private async Task RestoreAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        foreach ((string name, (_, ClusterConfig config)) in _known)
        {
            try
            {
                await session.EnsurePathAsync(_root.Cluster(name).Root, cancellationToken);
                await session.CreateAsync(
                    _root.Cluster(name).Config, ClusterConfigJson.Write(config), CreateMode.Persistent, default, cancellationToken);
                Log.ClusterRestored(logger, name);
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NodeExists)
            {
                // Another monitor was quicker.
            }
        }
    }
}
