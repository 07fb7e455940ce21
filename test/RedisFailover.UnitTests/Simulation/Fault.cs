using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover.UnitTests.Simulation;

internal enum FaultKind
{
    KillNode,
    KillAllNodes,
    PauseNode,
    KillMonitor,
    StopMonitor,
    PauseMonitor,
    SuspendMonitor,
    LoseQuorum,
    Cut,
    CutOneWay,
    Isolate,
    SlowWay,
    SlowEverything,
    JumpWallClock,
    CutReplica,
    SlowReplicas,
    SlowNews,
    CutLeaderFromZooKeeper,
    DeleteLeader,
    TouchTopology,
    Wish,
    WishForAny,

    /// <summary>A node that cannot save: as a master it refuses writes (MISCONF).</summary>
    FillDisk,

    /// <summary>A node that is killed, and comes back with an older snapshot than its last.</summary>
    GoBack,
    GoBackReplica,

    /// <summary>The master is killed, and all replicas but the one that has least.</summary>
    KillAllButTheLast,

    /// <summary>A monitor's connection to ZooKeeper is ended, or everybody's, and there is none for a while.</summary>
    EndConnection,
    EndAllConnections,

    /// <summary>A node refuses the monitors' credentials; or all nodes refuse one monitor's.</summary>
    Deny,
    DenyOneMonitor,

    /// <summary>A node takes no more connections (maxclients).</summary>
    FillConnections,

    /// <summary>Another K of write safety, and other configured nodes: the monitors are restarted one after the other.</summary>
    ChangeQuorum,
    RemoveNode,

    /// <summary>A request of another master; with data to lose: by force.</summary>
    Ask,
    AskForAny,

    /// <summary>Failover is switched off for a while, or on again.</summary>
    PauseFailover,
    ResumeFailover,

    /// <summary>Somebody sends REPLICAOF past the monitors: NO ONE to a replica, or another node's address to any.</summary>
    PromoteByHand,
    RepointByHand,

    /// <summary>A node's machine loses power, or all do: what is not synced to a disk is lost.</summary>
    CutPower,
    CutAllPower,

    /// <summary>A node is killed while it writes a full copy into its append-only file.</summary>
    KillInRewrite,
}

/// <summary>
/// Something that goes wrong, or that an operator wants. Targets are counted, and taken modulo what there is; -1 is whoever is
/// master, or leads, at that moment.
/// </summary>
internal sealed record Fault(FaultKind Kind, long At, long For, int Target, int Other, bool LosesData)
{
    internal const int Ruling = -1;

    /// <summary>The themes of what is staged.</summary>
    internal const int UnequalReplicas = 0, LateNews = 7, EmptyReturn = 8, Themes = 10;

    /// <summary>Those that came later, and are drawn by themselves.</summary>
    internal const int LeastIsLeft = 10, OlderSnapshot = 11, WithoutZooKeeper = 12, FullDisk = 13, AllThemes = 14;

    /// <summary>Later still.</summary>
    internal const int Refusals = 14, AnotherQuorum = 15;

    /// <summary>The latest.</summary>
    internal const int ByHand = 16, Requested = 17, Paused = 18;

    /// <summary>Where nodes keep append-only files.</summary>
    internal const int Files = 19, EndOfFile = 20, FileOfBefore = 21;

    internal static ImmutableArray<Fault> Draw(Dice dice, Dice more, Dice latest, Dice newest, bool calm, int? theme, long from, long until)
    {
        int count = calm ? 1 + dice.Next(2) : 1 + dice.Next(7);
        ImmutableArray<Fault>.Builder faults = ImmutableArray.CreateBuilder<Fault>(count);
        long at = from + dice.Between(0, 2 * World.Second);
        for (int i = 0; i < count && at < until; i++)
        {
            FaultKind kind = calm
                ? dice.Of(FaultKind.KillNode, FaultKind.PauseNode, FaultKind.KillMonitor, FaultKind.Wish, FaultKind.WishForAny,
                    FaultKind.Isolate)
                : DrawKind(dice);
            faults.Add(new Fault(
                kind,
                at,
                Length(kind, dice),
                dice.Percent(60) ? Ruling : dice.Next(60),
                dice.Percent(30) ? Ruling : dice.Next(60),
                dice.Percent(calm ? 50 : 30)));
            // Faults hit hardest in the middle of what the last one set off.
            at += calm ? 30 * World.Second : dice.Next(4) switch
            {
                0 => dice.Between(0, 5 * World.Ms),
                1 => dice.Between(0, 200 * World.Ms),
                2 => dice.Between(0, 4 * World.Second),
                _ => dice.Between(World.Second, 12 * World.Second),
            };
        }

        if (theme < Files || (!calm && dice.Percent(50)))
        {
            AddDrama(faults, dice, at, theme < Files ? theme.Value : dice.Next(Themes));
        }

        AddMore(faults, more, calm, at, until);
        AddLatest(faults, latest, calm, at);
        AddNewest(faults, newest, calm, at);
        return faults.ToImmutable();
    }

    /// <summary>Dice of their own, so that they do not shift the other faults.</summary>
    private static void AddMore(ImmutableArray<Fault>.Builder faults, Dice dice, bool calm, long at, long until)
    {
        if (calm)
        {
            if (dice.Percent(20))
            {
                faults.Add(new Fault(FaultKind.FillDisk, at, dice.Between(14, 20) * World.Second, Ruling, Ruling, false));
            }

            return;
        }

        if (dice.Percent(35))
        {
            int count = 1 + dice.Next(2);
            for (int i = 0; i < count; i++)
            {
                FaultKind kind =
                    dice.Of(FaultKind.FillDisk, FaultKind.GoBack, FaultKind.GoBack, FaultKind.KillAllButTheLast, FaultKind.EndConnection,
                        FaultKind.EndAllConnections);
                long when = faults.Count > 0 && dice.Percent(50)
                    ? faults[dice.Next(faults.Count)].At + dice.Between(0, World.Second) : dice.Between(9 * World.Second, until);
                faults.Add(new Fault(kind, when, Length(kind, dice), dice.Percent(60) ? Ruling : dice.Next(60), dice.Next(60), false));
            }
        }

        if (dice.Percent(25))
        {
            AddDrama(faults, dice, at, LeastIsLeft + dice.Next(AllThemes - LeastIsLeft));
        }
    }

    private static void AddLatest(ImmutableArray<Fault>.Builder faults, Dice dice, bool calm, long at)
    {
        if (calm)
        {
            if (dice.Percent(30))
            {
                // Whoever refuses us does so for longer than a failover takes.
                long when = dice.Percent(50) ? faults[0].At : at + (5 * World.Second);
                faults.Add(
                    new Fault(DrawRefusal(dice), when - dice.Between(0, 2 * World.Second), dice.Between(12, 20) * World.Second,
                        dice.Next(60), dice.Next(60), dice.Percent(50)));
                faults.Add(
                    new Fault(FaultKind.KillNode, when
                        + dice.Between(0, 5 * World.Second), dice.Between(3, 9) * World.Second, Ruling, Ruling, false));
            }

            return;
        }

        if (dice.Percent(15))
        {
            long when = faults[dice.Next(faults.Count)].At + dice.Between(-2 * World.Second, World.Second);
            faults.Add(
                new Fault(DrawRefusal(dice), Math.Max(7 * World.Second, when), dice.Between(World.Ms, 10 * World.Second), dice.Percent(40)
                    ? Ruling : dice.Next(60), dice.Next(60), dice.Percent(50)));
        }

        if (dice.Percent(10))
        {
            AddDrama(faults, dice, at, Refusals);
        }

        if (dice.Percent(20))
        {
            int count = 1 + dice.Next(2);
            for (int i = 0; i < count; i++)
            {
                long when = dice.Percent(50)
                    ? faults[dice.Next(faults.Count)].At - dice.Between(0, 4 * World.Second) : dice.Between(7 * World.Second, at);
                faults.Add(new Fault(
                    dice.Of(FaultKind.ChangeQuorum, FaultKind.RemoveNode), Math.Max(7 * World.Second, when),
                        dice.Between(World.Second, 15 * World.Second), dice.Percent(30)
                            ? Ruling : dice.Next(60), dice.Next(60), dice.Percent(50)));
            }
        }

        if (dice.Percent(8))
        {
            AddDrama(faults, dice, at, AnotherQuorum);
        }
    }

    private static void AddNewest(ImmutableArray<Fault>.Builder faults, Dice dice, bool calm, long at)
    {
        if (calm)
        {
            return;
        }

        if (dice.Percent(30))
        {
            int count = 1 + dice.Next(3);
            for (int i = 0; i < count; i++)
            {
                long when = dice.Percent(50)
                    ? faults[dice.Next(faults.Count)].At + dice.Between(-World.Second, World.Second) : dice.Between(7 * World.Second, at);
                FaultKind kind =
                    dice.Of(FaultKind.Ask, FaultKind.Ask, FaultKind.AskForAny, FaultKind.PauseFailover, FaultKind.ResumeFailover,
                        FaultKind.PromoteByHand, FaultKind.RepointByHand, FaultKind.RepointByHand);
                faults.Add(new Fault(kind, Math.Max(7 * World.Second, when), dice.Between(World.Second, 15 * World.Second),
                    dice.Percent(30) ? Ruling : dice.Next(60), dice.Next(60), dice.Percent(30)));
            }
        }

        if (dice.Percent(12))
        {
            AddDrama(faults, dice, at, ByHand + dice.Next(Paused - ByHand + 1));
        }
    }

    /// <summary>With what happens to append-only files.</summary>
    internal static ImmutableArray<Fault> WithFiles(ImmutableArray<Fault> faults, Dice dice, bool calm, int? theme, long from, long until)
    {
        ImmutableArray<Fault>.Builder all = faults.ToBuilder();
        long at = Math.Max(from, faults.IsEmpty ? from : faults[^1].At + dice.Between(-World.Second, 3 * World.Second));
        if (calm)
        {
            if (dice.Percent(40))
            {
                all.Add(new Fault(FaultKind.CutPower, at + (30 * World.Second), dice.Between(World.Ms, 4 * World.Second), Ruling, Ruling,
                    false));
            }

            return all.ToImmutable();
        }

        if (dice.Percent(50))
        {
            all.Add(new Fault(dice.Of(FaultKind.CutPower, FaultKind.CutAllPower, FaultKind.KillInRewrite, FaultKind.GoBack),
                dice.Between(from, until), Length(FaultKind.KillNode, dice), dice.Percent(60) ? Ruling : dice.Next(60), dice.Next(60),
                dice.Percent(20)));
        }

        if (dice.Percent(50) || theme >= Files)
        {
            AddDrama(all, dice, Math.Max(from + (8 * World.Second), at), theme >= Files ? theme.Value
                : Files + dice.Next(FileOfBefore - Files + 1));
        }

        return all.ToImmutable();
    }

    private static FaultKind DrawRefusal(Dice dice)
        => dice.Of(FaultKind.Deny, FaultKind.Deny, FaultKind.DenyOneMonitor, FaultKind.FillConnections);

    /// <summary>What chance alone brings together too seldom: one fault in the middle of what another set off.</summary>
    private static void AddDrama(ImmutableArray<Fault>.Builder faults, Dice dice, long at, int theme)
    {
        at += dice.Between(0, 4) * World.Second;
        long soon = dice.Of(dice.Between(0, 20 * World.Ms), dice.Between(0, 300 * World.Ms), dice.Between(0, 1500 * World.Ms));
        long lasting = dice.Between(World.Second, 9 * World.Second);
        switch (theme)
        {
            case UnequalReplicas:
                // The replicas are not equally far when the master goes.
                Add(FaultKind.CutReplica, 0, lasting);
                Add(dice.Of(FaultKind.KillNode, FaultKind.KillNode, FaultKind.PauseNode, FaultKind.WishForAny), soon, lasting);
                break;
            case 1:
                Add(FaultKind.KillNode, 0, dice.Between(World.Ms / 10, 8 * World.Ms), losesData: true);
                break;
            case 2:
                Add(FaultKind.WishForAny, 0, 0);
                Add(dice.Of(FaultKind.KillNode, FaultKind.PauseNode, FaultKind.KillMonitor, FaultKind.PauseMonitor,
                    FaultKind.CutLeaderFromZooKeeper), soon / 10, lasting);
                break;
            case 3:
                Add(FaultKind.CutLeaderFromZooKeeper, 0, lasting, dice.Percent(50));
                Add(dice.Of(FaultKind.KillNode, FaultKind.PauseNode), dice.Between(0, 6 * World.Second), lasting);
                break;
            case 4:
                Add(FaultKind.KillNode, 0, lasting);
                Add(dice.Of(FaultKind.PauseMonitor, FaultKind.SuspendMonitor, FaultKind.KillMonitor, FaultKind.PauseNode),
                    dice.Between(0, 30 * World.Ms), lasting);
                break;
            case 5:
                Add(FaultKind.KillNode, 0, lasting);
                Add(dice.Of(FaultKind.DeleteLeader, FaultKind.TouchTopology), dice.Between(0, 12 * World.Ms), 0);
                break;
            case 6:
                Add(FaultKind.SlowReplicas, 0, lasting, dice.Percent(50));
                Add(dice.Of(FaultKind.Wish, FaultKind.WishForAny, FaultKind.KillNode), soon, lasting);
                break;
            case LateNews:
                Add(FaultKind.SlowNews, 0, lasting, dice.Percent(50));
                Add(dice.Of(FaultKind.WishForAny, FaultKind.WishForAny, FaultKind.KillNode), soon, lasting);
                break;
            case EmptyReturn:
                // The second failover may have to wait, for its interval or because nobody else is fit; the master comes back meanwhile,
                // empty.
                Add(FaultKind.KillNode, 0, lasting);
                Add(FaultKind.KillNode, dice.Between(World.Second, 3 * World.Second), dice.Between(World.Ms, 4 * World.Second),
                    losesData: true);
                break;
            case LeastIsLeft:
                // What the others have acknowledged is not on the one that is left.
                Add(FaultKind.CutReplica, 0, lasting);
                Add(FaultKind.KillAllButTheLast, World.Second + soon, lasting);
                break;
            case OlderSnapshot:
                // A replica that had acknowledged writes is back without them, and the master is gone.
                Add(FaultKind.GoBackReplica, 0, dice.Between(World.Ms, 500 * World.Ms));
                Add(FaultKind.KillNode, dice.Between(0, 30 * World.Ms), lasting);
                break;
            case WithoutZooKeeper:
                Add(dice.Of(FaultKind.EndConnection, FaultKind.EndAllConnections), 0, lasting);
                Add(FaultKind.KillNode, dice.Between(0, 500 * World.Ms), lasting);
                break;
            case FullDisk:
                Add(FaultKind.FillDisk, 0, dice.Between(3, 9) * World.Second);
                Add(dice.Of(FaultKind.KillNode, FaultKind.GoBackReplica, FaultKind.WishForAny, FaultKind.PauseNode),
                    dice.Between(0, 5 * World.Second), lasting);
                break;
            case Refusals:
                // Whoever refuses us has said before what he holds, and that may no longer be so when the master goes.
                faults.Add(new Fault(DrawRefusal(dice), at, lasting + (5 * World.Second), dice.Next(60), dice.Next(60), dice.Percent(50)));
                Add(dice.Of(FaultKind.CutReplica, FaultKind.GoBackReplica, FaultKind.KillNode, FaultKind.WishForAny),
                    dice.Between(0, World.Second), lasting);
                Add(dice.Of(FaultKind.KillNode, FaultKind.KillNode, FaultKind.KillAllButTheLast, FaultKind.PauseNode), World.Second
                    + dice.Between(0, 4 * World.Second), lasting);
                break;
            case AnotherQuorum:
                // A replica has nothing of what another one acknowledges, and K grows meanwhile.
                Add(FaultKind.CutReplica, dice.Between(-5, 2) * World.Second, lasting + (4 * World.Second));
                Add(dice.Of(FaultKind.ChangeQuorum, FaultKind.ChangeQuorum, FaultKind.RemoveNode), 0, lasting, dice.Percent(30));
                Add(FaultKind.KillAllButTheLast, (4 * World.Second) + soon, lasting);
                break;
            case ByHand:
                // What somebody did past the monitors is in the middle of being put right.
                faults.Add(new Fault(dice.Of(FaultKind.PromoteByHand, FaultKind.RepointByHand), at, 0, dice.Percent(30)
                    ? Ruling : dice.Next(60), dice.Next(60), false));
                Add(dice.Of(FaultKind.KillNode, FaultKind.KillMonitor, FaultKind.RepointByHand, FaultKind.AskForAny,
                    FaultKind.CutLeaderFromZooKeeper), soon, lasting);
                break;
            case Requested:
                // A switchover by request, and whoever carries it out goes, or is cut off.
                Add(dice.Of(FaultKind.Ask, FaultKind.AskForAny), 0, 0, dice.Percent(30));
                Add(dice.Of(FaultKind.CutLeaderFromZooKeeper, FaultKind.KillMonitor, FaultKind.PauseMonitor, FaultKind.KillNode,
                    FaultKind.EndConnection, FaultKind.Isolate), dice.Between(0, 40 * World.Ms), lasting);
                break;
            case Paused:
                // The master goes while failover is switched off; it is switched on again, or the time is up.
                Add(FaultKind.PauseFailover, 0, dice.Between(World.Second, 8 * World.Second));
                Add(dice.Of(FaultKind.KillNode, FaultKind.KillNode, FaultKind.KillMonitor, FaultKind.AskForAny, FaultKind.RepointByHand),
                    soon, lasting, dice.Percent(20));
                Add(FaultKind.ResumeFailover, dice.Between(0, 10 * World.Second), 0);
                break;
            case Files:
                // All are without power, one of them is back without its file, or with another one.
                Add(FaultKind.CutReplica, -2 * World.Second, lasting);
                Add(FaultKind.CutAllPower, 0, lasting, dice.Percent(30));
                Add(dice.Of(FaultKind.GoBack, FaultKind.GoBackReplica, FaultKind.KillNode), dice.Between(-500 * World.Ms, 0),
                    dice.Between(World.Ms, lasting), dice.Percent(50));
                break;
            case EndOfFile:
                // The master is back before it is judged, or when the failover has begun, and one that has less is there.
                Add(FaultKind.CutReplica, 0, lasting);
                Add(dice.Of(FaultKind.CutPower, FaultKind.KillNode, FaultKind.KillAllButTheLast), World.Second + soon,
                    dice.Between(World.Ms, 3 * World.Second));
                break;
            case FileOfBefore:
                // A replica is back with the file that it had before its full copy, when the others are gone.
                Add(FaultKind.KillInRewrite, -8 * World.Second, dice.Between(World.Ms, 3 * World.Second));
                Add(dice.Of(FaultKind.CutAllPower, FaultKind.KillAllNodes, FaultKind.KillNode), soon, lasting);
                break;
            default:
                Add(FaultKind.PauseMonitor, 0, lasting);
                Add(FaultKind.KillNode, soon, dice.Between(World.Ms, lasting));
                Add(FaultKind.WishForAny, soon + dice.Between(0, lasting), 0);
                break;
        }

        void Add(FaultKind kind, long after, long length, bool losesData = false)
            => faults.Add(new Fault(
                kind, at + after, length, kind is FaultKind.Wish or FaultKind.Ask ? dice.Next(60) : Ruling, dice.Next(60), losesData));
    }

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{At / (double)World.Second:0.000} s: {Kind} of {(Target == Ruling ? "the ruling one" : $"no. {Target}")} and "
            + $"{(Other == Ruling ? "the ruling one" : $"no. {Other}")} for {For / (double)World.Second:0.000} "
            + $"s{(LosesData ? ", loses its data" : "")}");

    private static FaultKind DrawKind(Dice dice) => dice.Of(
        FaultKind.KillNode, FaultKind.KillNode, FaultKind.KillNode, FaultKind.KillAllNodes, FaultKind.PauseNode, FaultKind.PauseNode,
            FaultKind.KillMonitor,
        FaultKind.KillMonitor, FaultKind.StopMonitor, FaultKind.PauseMonitor, FaultKind.PauseMonitor, FaultKind.SuspendMonitor,
            FaultKind.LoseQuorum,
        FaultKind.Cut, FaultKind.Cut, FaultKind.Cut, FaultKind.CutOneWay, FaultKind.CutOneWay, FaultKind.CutOneWay, FaultKind.Isolate,
            FaultKind.Isolate, FaultKind.SlowWay,
        FaultKind.SlowWay, FaultKind.SlowEverything, FaultKind.JumpWallClock, FaultKind.CutReplica, FaultKind.SlowReplicas,
        FaultKind.CutLeaderFromZooKeeper, FaultKind.DeleteLeader, FaultKind.TouchTopology, FaultKind.Wish, FaultKind.WishForAny,
            FaultKind.WishForAny);

    private static long Length(FaultKind kind, Dice dice) => dice.Next(4) switch
    {
        0 => dice.Between(World.Ms, 100 * World.Ms),
        1 => dice.Between(100 * World.Ms, 2 * World.Second),
        2 => dice.Between(World.Second, 6 * World.Second),
        _ => dice.Between(3 * World.Second, kind == FaultKind.LoseQuorum ? 8 * World.Second : 15 * World.Second),
    };
}
