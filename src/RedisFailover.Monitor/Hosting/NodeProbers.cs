using System.Collections.Concurrent;
using System.Threading.Channels;
using RedisFailover.Monitor.Options;
using RedisFailover.Monitor.Redis;

namespace RedisFailover.Monitor.Hosting;

/// <summary>The probers of a cluster's nodes, one each; they come and go with the nodes.</summary>
internal sealed class NodeProbers : IAsyncDisposable
{
    private readonly ConcurrentDictionary<NodeAddress, NodeProber> _all = new();
    private readonly TaskCompletionSource _fault = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ChannelWriter<Observation> _observations;
    private readonly MonotonicClock _clock;
    private readonly NodeNames _names;
    private readonly RedisCredentials _credentials;
    private readonly ClientNames _clients;
    private FailoverPolicy _policy;

    internal NodeProbers(MonitorOptions options, string candidate, ChannelWriter<Observation> observations, MonotonicClock clock)
    {
        (_policy, _observations, _clock) = (options.Policy, observations, clock);
        _names = new NodeNames(_policy.Nodes, clock.Provider);
        _credentials = new RedisCredentials(options.Username, options.Password, options.PasswordFile) { Tls = options.Security.RedisTls };
        _clients = new ClientNames(options.ZnodePath, options.Id, candidate) { Lead = () => Lead?.Invoke() };
    }

    /// <summary>The term in which this monitor leads, and whether it may act; null where it does not lead.</summary>
    internal Func<(int Term, bool MayAct)?>? Lead { get; init; }

    /// <summary>By their nodes.</summary>
    internal ConcurrentDictionary<NodeAddress, NodeProber> All => _all;

    /// <summary>Whether this monitor leads: the others leave a lost node to the leader for a moment.</summary>
    internal Func<bool>? IsLeading { get; init; }

    /// <summary>Fails when a prober does, which is a defect.</summary>
    internal Task Fault => _fault.Task;

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await Task.WhenAll(_all.Values.Select(p => p.DisposeAsync().AsTask()));

    /// <summary>Begins with a node.</summary>
    internal void Watch(NodeAddress node)
    {
        var prober = new NodeProber(node, _credentials, _policy, _names, _observations, _clock, _clients, IsLeading);
        _all[node] = prober;
        _ = prober.Running.ContinueWith(
            t => _fault.TrySetException(t.Exception!.InnerExceptions),
            CancellationToken.None,
            TaskContinuationOptions.OnlyOnFaulted,
            TaskScheduler.Default);
    }

    /// <summary>The incarnation of the store is a part of the connections' names.</summary>
    internal void Learn(Topology? topology)
    {
        if (_clients.Learn(topology))
        {
            Rename();
        }
    }

    /// <summary>On every node that is reached, side by side: when leadership begins this is the fence.</summary>
    internal void Rename()
    {
        foreach (NodeProber prober in _all.Values)
        {
            prober.Rename();
        }
    }

    /// <summary>
    /// What a leader before this one found cannot be read off the nodes: those whose file was not written are asked to write it again, and
    /// their answers tell whether that lasts. Only who is known to be ours is asked: the address may be anybody's by now.
    /// </summary>
    internal void Inherit(IEnumerable<Problem> told, ClusterView view)
    {
        foreach (string node in told.Where(p => p.Code == ProblemCatalogue.RoleNotPersisted).SelectMany(p => p.Subjects))
        {
            if (NodeAddress.TryParse(node, out NodeAddress? address) && IsMember(address, view)
                && _all.TryGetValue(address, out NodeProber? prober) && Lead?.Invoke() is { MayAct: true })
            {
                prober.KeepRole();
            }
        }
    }

    private static bool IsMember(NodeAddress node, ClusterView view)
        => view.Node(node).IsInOrder && (view.Topology?.Master == node || view.Topology?.Replicas.Contains(node) == true);

    /// <summary>From now on these nodes, by this policy.</summary>
    internal void Change(FailoverPolicy policy, IReadOnlyCollection<NodeAddress> watched)
    {
        bool asksOtherwise = WhatTheyGoBy(policy) != WhatTheyGoBy(_policy);
        _policy = policy;
        _names.Nodes = policy.Nodes;
        foreach (NodeAddress node in asksOtherwise ? _all.Keys : [])
        {
            Leave(node);
        }

        foreach (NodeAddress node in watched.Where(n => !_all.ContainsKey(n)))
        {
            Watch(node);
        }

        foreach (NodeAddress node in _all.Keys.Except(watched))
        {
            Leave(node);
        }
    }

    /// <summary>With a connection of its own to what the name leads to now.</summary>
    internal void Reconnect(NodeAddress node)
    {
        if (_all.ContainsKey(node))
        {
            Leave(node);
            Watch(node);
        }
    }

    private void Leave(NodeAddress node)
        => _ = _all.TryRemove(node, out NodeProber? left) ? left.DisposeAsync().AsTask() : Task.CompletedTask;

    private static (TimeSpan Timeout, int Failures, NodeStrategy Strategy, WriteSafetyMode Safety) WhatTheyGoBy(FailoverPolicy policy)
        => (policy.ProbeTimeout, policy.MaxFailures, policy.NodeStrategy, policy.WriteSafety);
}
