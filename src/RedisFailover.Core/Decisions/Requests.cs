using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>Operators' requests and wishes while the master changes: which one the change answers, and which ones are told to come later.</summary>
internal static class Requests
{
    /// <summary>
    /// The answer that goes out in one transaction with the topology that ends a change of master. It goes to the request that the
    /// change was made for; a failover that nobody asked for answers one that was waiting.
    /// </summary>
    internal static RequestStep? Answer(
        ClusterView view, Topology before, Topology after, RequestOutcome outcome, string reason, ImmutableArray<KeyValuePair<string, double>> millis)
    {
        OperatorRequest? request = before.Intent?.Request is { } id ? view.Requests.FirstOrDefault(r => r.Id == id) : view.Request;
        if (request is null)
        {
            return null;
        }

        bool granted = outcome == RequestOutcome.Done && (request.Target is null || request.Target == after.Master);
        return new RequestStep(
            request,
            new RequestAnswer(granted || outcome != RequestOutcome.Done ? outcome : RequestOutcome.Refused, reason, after.Master, after.Epoch) { Millis = millis });
    }

    /// <summary>While a switchover runs, every request but its own is told so at once.</summary>
    internal static IEnumerable<FailoverAction> RefuseOthers(ClusterView view, Topology topology)
    {
        if (topology is not { State: TopologyState.SwitchingOver, Intent: { } intent })
        {
            yield break;
        }

        string reason = $"the operator's wish is refused: a switchover{(intent.Target is { } target ? $" to {target}" : "")} is under way already";
        foreach (OperatorRequest request in view.Requests.Where(r => r.Id != intent.Request))
        {
            yield return Refusal(request.Wish, request, topology, reason);
        }

        if (intent.Request is not null && view.ManualFailover is { } wish)
        {
            yield return Refusal(wish, null, topology, reason);
        }
    }

    /// <summary>Whether the refusal of what is asked for now is on its way: there is no second one, in other words.</summary>
    internal static bool IsBeingRefused(ClusterView view)
        => view.Running.Any(a => a is RefuseWish refusal && refusal.Wish == view.Wish && refusal.Request?.Request.Id == view.Request?.Id);

    /// <summary>The refusal of what the operator asks for now.</summary>
    internal static Decision Refuse(ClusterView view, Topology topology, string why)
    {
        if (IsBeingRefused(view))
        {
            return Decision.Nothing("waiting until the refusal is written");
        }

        string reason = $"the operator's wish is refused: {why}";
        return Decision.Do(reason, Refusal(view.Wish!, view.Request, topology, reason)) with { Warning = reason };
    }

    private static RefuseWish Refusal(string wish, OperatorRequest? request, Topology topology, string reason)
        => new(wish, new HistoryEntry { Kind = HistoryKind.Refused, Epoch = topology.Epoch, From = topology.Master, Reason = reason })
        {
            Request = request is null
                ? null
                : new RequestStep(request, new RequestAnswer(RequestOutcome.Refused, reason, topology.Master, topology.Epoch)),
        };
}
