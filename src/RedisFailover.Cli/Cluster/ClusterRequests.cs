using System.Collections.Immutable;
using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Cluster;

/// <summary>What operators ask of a cluster's leading monitor: requests, and the answers to them.</summary>
internal sealed class ClusterRequests(EnsembleSession ensemble, ZnodePaths paths)
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    /// <summary>Makes a request; its name.</summary>
    internal async Task<string> MakeAsync(OperatorRequest request, CancellationToken ct)
    {
        // Once it is sent its name has to be known, to take it back: Ctrl-C leaves it a moment.
        using CancellationTokenSource grace = new();
        using CancellationTokenRegistration interrupted = ct.Register(() => grace.CancelAfter(Grace));
        try
        {
            string path = await ensemble.BoundedAsync(
                async token =>
                {
                    await ensemble.Session.EnsurePathAsync(paths.Requests, token);
                    ImmutableArray<ZnodeAcl> rights = ZooKeeperAccess.AuthFile is null
                        ? default : await RequestRights.ForRequestAsync(ensemble.Session, paths.Requests, token);
                    return await ensemble.Session.CreateAsync(
                        paths.RequestPrefix, request.Write(), CreateMode.PersistentSequential, rights, token);
                },
                grace.Token);
            return path[(path.LastIndexOf('/') + 1)..];
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoAuth or ZooKeeperErrorCode.InvalidAcl)
        {
            throw NoRight(e);
        }
        catch (Exception e) when (e is ZooKeeperException { MayHaveBeenApplied: true } or OperationCanceledException
            || (e is CliException && e.InnerException is OperationCanceledException))
        {
            throw new CliException(
                $"{(e is OperationCanceledException ? "interrupted" : e.Message.TrimEnd('.'))}. The request may have been made all the "
                + "same, and be carried out: redis-failover requests list shows it, requests withdraw takes it back.", inner: e);
        }
    }

    private CliException NoRight(ZooKeeperException e) => new(
        $"no right to make requests at {ensemble.Connection.Chroot}{paths.Requests}: give an operator's user:password in the file that "
        + $"{ZooKeeperAccess.Variables[0]} names (monitors: --zk-operators).",
        CommandLine.Refused,
        e);

    /// <summary>A request as it stands now; null when it is gone.</summary>
    internal async Task<OperatorRequest?> FindAsync(string id, CancellationToken ct)
        => await ensemble.ZnodeAsync(paths.Request(id), ct) is { } znode
            ? OperatorRequest.Parse(id, znode.Data, znode.Stat.Version) : null;

    /// <summary>The answer to a request, as soon as it is there.</summary>
    /// <exception cref="OperationCanceledException">It was not there in time.</exception>
    internal async Task<RequestAnswer> AnswerAsync(string id, CancellationToken ct)
    {
        while (true)
        {
            TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
            try
            {
                Znode znode = await ensemble.BoundedAsync(
                    token => ensemble.Session.GetDataAsync(paths.Request(id), _ => changed.TrySetResult(), token).AsTask(), ct);
                if (OperatorRequest.Parse(id, znode.Data, znode.Stat.Version).Answer is { } answer)
                {
                    return answer;
                }
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
            {
                throw new CliException($"the request {id} was removed by somebody else.", inner: e);
            }

            await changed.Task.WaitAsync(ct);
        }
    }

    /// <summary>The requests that nobody has answered yet, the oldest first.</summary>
    internal async Task<ImmutableArray<OperatorRequest>> PendingAsync(CancellationToken ct)
    {
        ImmutableArray<OperatorRequest>.Builder pending = ImmutableArray.CreateBuilder<OperatorRequest>();
        ImmutableArray<string> ids;
        try
        {
            ids = await ensemble.ChildrenAsync(paths.Requests, ct);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoAuth)
        {
            throw NoRight(e);
        }

        foreach (string id in ids.Sort(StringComparer.Ordinal))
        {
            try
            {
                if (await FindAsync(id, ct) is { Answer: null } request)
                {
                    pending.Add(request);
                }
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoAuth)
            {
                // Another operator's, with other credentials: the leader knows it.
            }
        }

        return pending.ToImmutable();
    }

    /// <summary>
    /// Takes a request back, unless it is answered or has begun: in one transaction with the version of the topology that says so.
    /// </summary>
    internal async Task<TakenBack> WithdrawAsync(string id, CancellationToken ct)
    {
        while (true)
        {
            Znode? nodes = await ensemble.ZnodeAsync(paths.Nodes, ct);
            if (await FindAsync(id, ct) is not { } request)
            {
                return TakenBack.Gone;
            }

            Topology? topology = Parsed(nodes);
            if (request.Answer is not null
                || topology is { IsChangingMaster: true, Intent.Request: { } begun } && begun == id)
            {
                return new TakenBack(false, request.Answer, topology?.Reason);
            }

            var delete = ZnodeOperation.Delete(paths.Request(id), request.Version);
            try
            {
                await ensemble.BoundedAsync(
                    token => ensemble.Session.MultiAsync(
                        nodes is null ? [delete] : [ZnodeOperation.Check(paths.Nodes, nodes.Stat.Version), delete], token),
                    ct);
                return new TakenBack(true, null, topology is { IsChangingMaster: true } ? topology.Reason : null);
            }
            catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoNode or ZooKeeperErrorCode.BadVersion)
            {
                // One of the two has changed: what does it say now?
            }
        }
    }

    /// <summary>A topology that cannot be read says of no request that it has begun.</summary>
    private static Topology? Parsed(Znode? nodes)
    {
        try
        {
            return nodes is { Data.IsEmpty: false } ? TopologyJson.Parse(nodes.Data) : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }
}

/// <summary>What was found when a request was to be taken back.</summary>
/// <param name="IsWithdrawn">Nobody carries it out.</param>
/// <param name="Answer">It was answered meanwhile; null where it was not.</param>
/// <param name="UnderWay">The change of master that goes on, why: the request's own, or with one that is withdrawn another.</param>
internal sealed record TakenBack(bool IsWithdrawn, RequestAnswer? Answer, string? UnderWay)
{
    /// <summary>Somebody else removed it.</summary>
    internal static TakenBack Gone { get; } = new(false, null, null);

    /// <summary>In words; what is answered has its own.</summary>
    public override string ToString()
        => !IsWithdrawn ? UnderWay is null ? "the request was removed by somebody else." : $"it has begun, and goes on: {UnderWay}"
            : UnderWay is null ? "the request is withdrawn."
            : $"the request is withdrawn, but a change of master is under way and goes on: {UnderWay}";
}
