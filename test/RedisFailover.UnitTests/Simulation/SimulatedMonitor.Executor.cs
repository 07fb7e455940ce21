using Moment = global::RedisFailover.ZooKeeper.Moment;

namespace RedisFailover.UnitTests.Simulation;

/// <summary>
/// Carries out what was decided, with the semantics of ActionExecutor and NodeCommands: the lease first, then what can be sent at once.
/// </summary>
internal sealed partial class SimulatedMonitor
{
    private void Begin(FailoverAction action)
    {
        if (Lead is not { } lead)
        {
            Observe(new ActionFinished(Clock, action, "leadership was lost"));
            return;
        }

        TimeSpan begun = Clock;
        if (!settings.Mutant.IgnoresLease && !lead.Lease.IsHeld)
        {
            Observe(new ActionFinished(begun, action, "the leader's lease has run out"));
            return;
        }

        bool isOver = false;
        lead.Lost.Add(Lost);
        ledger.Begun(this, lead, action);
        switch (action)
        {
            case ReadTopology:
                _client!.Call(_ => (server.Nodes, server.Version, server.HistoryEpoch, server.Requests, server.Config,
                    server.ConfigVersion), read =>
                {
                    Observe(new RequestsSeen(Clock, read.Requests));
                    Observe(Read(read.Config, read.ConfigVersion, synced: true));
                    Observe(Read(read.Nodes, read.Version, read.HistoryEpoch, synced: true));
                    Finish(null);
                }, why => Finish(why));
                break;
            case PublishTopology publication:
                Publish(lead, publication, why => Finish(why), version => Finish(null, version: version));
                break;
            case RefuseWish refusal:
                Commit(lead, _ =>
                {
                    if (refusal.Request is { } step)
                    {
                        return server.Answer(step);
                    }

                    server.SetWish(null);
                    return true;
                }, isDone => Finish(isDone ? null : "BadVersion"), why => Finish(why));
                break;
            case AnswerRequest answer:
                Commit(lead, _ => server.Answer(answer.Step), isDone => Finish(isDone ? null : "BadVersion"), why => Finish(why));
                break;
            case PublishConfig change:
                Commit(lead, _ => server.Publish(change), done => Finish(done is null ? "BadVersion" : null, version: done?.Version ?? -1,
                    written: done?.Written), why => Finish(why));
                break;
            case Resign:
                lead.Lost.Remove(Lost);
                Abstain();
                End(lead, () => Finish(null), why => Finish(why));
                break;
            case Inspect inspect:
                Prober(inspect.Node, why => Finish(why))?.Command(_ => null, (_, info, asked) =>
                {
                    if (info is not null)
                    {
                        _probers[inspect.Node].Report(info, asked);
                    }

                    Finish(info is null ? "it refuses INFO" : null);
                }, why => Finish(why));
                break;
            case Promote promote:
                Redis(promote.Node, n
                    => Set(n, promote.MinReplicas) ?? n.ReplicaOf(null), info
                        => info.Role == NodeRole.Master ? null : "it still says that it is a replica");
                break;
            case Detach detach:
                Redis(detach.Node, n
                    => settings.Mutant.SkipsDetach ? null : n.Detach(), info
                        => settings.Mutant.SkipsDetach || info.IsDetached ? null : "it still follows its master", isRemembered: false);
                break;
            case Follow follow:
                Redis(follow.Node, n => n.ReplicaOf(ledger.Node(follow.Master)), Follows);
                break;
            case Demote demote:
                Redis(
                    demote.Node,
                    n => n.ReplicaOf(ledger.Node(demote.Master)) is { } error ? error : n.ResumeWrites() ?? Set(n, demote.MinReplicas),
                    Follows,
                    demote.CutsClients ? (n, mine) => n.CloseOthers(mine) : null);
                break;
            case PauseWrites pause:
                Redis(pause.Node, n => settings.Mutant.SkipsPause ? null : n.PauseWrites(pause.For), null);
                break;
            case ResumeWrites resume:
                Redis(resume.Node, n => n.ResumeWrites() ?? Set(n, resume.MinReplicas), null);
                break;
            case SetMinReplicas set:
                Redis(set.Node, n => n.SetMinReplicas(set.Value.Count, set.Value.MaxLag), null);
                break;
            default:
                throw new InvalidOperationException($"the simulation does not know {action.GetType().Name}");
        }

        void Redis(NodeAddress on, Func<SimulatedRedis, string?> run, Func<NodeInfo, string?>? verify,
            Action<SimulatedRedis, NodeConnection>? afterwards = null, bool isRemembered = true)
        {
            if (Prober(on, why => Finish(why)) is not { } prober)
            {
                return;
            }

            prober.Command(n =>
            {
                string? error = run(n);
                ledger.Executed(this, lead, action, n, error);
                return error;
            }, (error, info, asked) =>
            {
                string? failure = error ?? verify?.Invoke(info!);
                info = action is Detach && settings.Mutant.SkipsDetach && info is { Role: NodeRole.Replica }
                    ? info with { MasterAddress = NodeInfo.Nowhere, LinkUp = false } : info;
                if (failure is null && verify is not null && isRemembered)
                {
                    prober.Forget((n, mine) =>
                    {
                        n.RewriteConfiguration();
                        afterwards?.Invoke(n, mine);
                    });
                }

                Finish(failure, info, asked);
            }, why => Finish(why));
        }

        void Lost() => Finish("leadership was lost");

        void Finish(string? failure, NodeInfo? info = null, TimeSpan? asked = null, int version = -1, ClusterConfig? written = null)
        {
            if (isOver)
            {
                return;
            }

            isOver = true;
            lead.Lost.Remove(Lost);
            if (failure is not null && World.IsTold)
            {
                Tell($"failed: {action}: {failure}");
            }

            Observe(new ActionFinished(Clock, action, failure, info, version) { Asked = asked ?? Clock, WrittenConfig = written });
        }
    }

    private SimulatedProber? Prober(NodeAddress node, Action<string> otherwise)
    {
        if (_probers.TryGetValue(node, out SimulatedProber? prober))
        {
            return prober;
        }

        otherwise($"{node} is not watched");
        return null;
    }

    private static string? Set(SimulatedRedis node, int? minReplicas) => minReplicas is { } count ? node.SetMinReplicas(count) : null;

    private static string? Follows(NodeInfo info) => info.Role == NodeRole.Replica ? null : "it still says that it is a master";

    private void Publish(Lead lead, PublishTopology publication, Action<string> failed, Action<int> done)
    {
        var sentAt = Moment.Now(Time!);
        _client!.Call(s => server.Publish(s, lead.Term, publication, Name), answer =>
        {
            if (answer.Error is not { } error)
            {
                lead.Lease.Renew(sentAt, TimeSpan.FromTicks(settings.ZooKeeper.SessionTimeout / 2));
                done(answer.Version);
                return;
            }

            if (error == "fence")
            {
                End(lead);
            }

            failed(error);
        }, failed);
    }
}
