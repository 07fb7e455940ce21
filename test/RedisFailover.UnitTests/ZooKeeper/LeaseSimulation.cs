using RedisFailover.UnitTests.Simulation;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>How the rules of the lease may be broken, to see that the simulation notices.</summary>
[Flags]
public enum LeaseFault
{
    None = 0,

    /// <summary>S1: what a leader writes elsewhere renews its lease.</summary>
    PublicationRenews = 1,

    /// <summary>S3: a takeover does not say which term it replaces.</summary>
    TermIsNotChecked = 4,

    /// <summary>S4: followers go by the length that stood in the first beat they saw.</summary>
    LengthStandsElsewhere = 8,

    /// <summary>S6: a lease may be longer than the session, and a heartbeat that is gone is an open door.</summary>
    LongerThanTheSession = 32,

    /// <summary>S8: 1.1 L, with clocks that each go wrong by 10 %.</summary>
    TooSoon = 128,

    /// <summary>A shorter lease counts from its acknowledgement.</summary>
    ShorterFromTheAnswer = 256,

    /// <summary>The lease counts from the answer.</summary>
    FromTheAnswer = 512,
}

/// <summary>
/// Processes that lead in turn, in virtual time: the product's lease, its sent beats, its length and its figures, and an ensemble that
/// keeps its word (<see cref="HeartbeatTests"/> hold the rules that are about reading and naming, on the real code). Clocks go wrong by up
/// to 10 % each, processes are held up, ways are slow, connections and sessions end. At no moment do two hold a lease.
/// </summary>
internal sealed class LeaseSimulation
{
    internal const long SessionTimeout = 4 * World.Second;

    private readonly World _world = new(told: false);
    private readonly Dice _dice;
    private readonly Agent[] _agents;

    internal LeaseSimulation(ulong seed, LeaseFault fault, int agents = 3)
    {
        _dice = new Dice(seed * 7919);
        Fault = fault;
        _agents = [.. Enumerable.Range(0, agents).Select(i => new Agent(this, i, _dice.Branch()))];
    }

    internal LeaseFault Fault { get; }

    internal World World => _world;

    internal int Takeovers { get; private set; }

    internal int Term { get; private set; }

    internal (int Agent, string Heart)? Holder { get; private set; }

    /// <summary>The heartbeats that exist: version, length and the end of their session.</summary>
    internal Dictionary<string, (int Version, TimeSpan Length)> Hearts { get; } = new(StringComparer.Ordinal);

    /// <summary>Runs for so long; what must never be is thrown.</summary>
    internal void Run(long length)
    {
        foreach (Agent agent in _agents)
        {
            agent.Start();
        }

        for (long at = World.Second; at < length; at += 700 * World.Ms)
        {
            _world.At(at, Disturb);
        }

        // Looked at more often than anything happens that is worth looking at.
        for (long at = 0; at < length; at += World.Ms)
        {
            _world.Run(at);
            Agent[] holders = [.. _agents.Where(a => a.Lease is { IsHeld: true })];
            if (holders.Length > 1)
            {
                throw new Violation(
                    $"at {at / World.Ms} ms {string.Join(" and ", holders.Select(a => $"{a.Name} ({a.Rate})"))} hold a lease");
            }
        }

        // The last disturbance is over: somebody leads.
        for (long at = 0; _agents.All(a => a.Lease is not { IsHeld: true }); at += World.Ms)
        {
            _world.Run(length + at);
            if (at > 15 * World.Second)
            {
                throw new Violation($"nobody leads 15 s after the last disturbance; the term is {Holder}");
            }
        }
    }

    internal bool Has(LeaseFault fault) => (Fault & fault) != 0;

    /// <summary>A beat, with the fence of leadership if there is one. Null: refused.</summary>
    internal int? Beat(string heart, TimeSpan length, int? fence)
    {
        if (!Hearts.TryGetValue(heart, out (int Version, TimeSpan Length) before) || (fence is { } term && term != Term))
        {
            return null;
        }

        Hearts[heart] = (before.Version + 1, length);
        Tell(heart);
        return before.Version + 1;
    }

    /// <summary>One transaction; the new term, or null.</summary>
    internal int? Stand(Agent agent, int term, (string Heart, int Version)? silent, TimeSpan length)
    {
        if ((term != Term && !Has(LeaseFault.TermIsNotChecked)) || !Hearts.TryGetValue(agent.Heart, out (int Version, TimeSpan Length) own)
            || (silent is { } check && check.Version >= 0
                && (!Hearts.TryGetValue(check.Heart, out (int Version, TimeSpan _) seen) || seen.Version != check.Version)))
        {
            return null;
        }

        Takeovers += silent is null ? 0 : 1;
        Term++;
        Holder = (agent.Number, agent.Heart);
        Hearts[agent.Heart] = (own.Version + 1, length);
        Tell(agent.Heart);
        foreach (Agent other in _agents)
        {
            other.Hear(null);
        }

        return Term;
    }

    internal void Empty(int term)
    {
        if (term == Term)
        {
            Term++;
            Holder = null;
            foreach (Agent other in _agents)
            {
                other.Hear(null);
            }
        }
    }

    internal void Expire(string heart)
    {
        Hearts.Remove(heart);
        Tell(heart);
    }

    private void Tell(string heart)
    {
        foreach (Agent other in _agents)
        {
            other.Hear(heart);
        }
    }

    private void Disturb()
    {
        Agent agent = _dice.Of(_agents);
        switch (_dice.Next(7))
        {
            case 0:
                agent.Pause(_dice.Between(100, 3000) * World.Ms);
                break;
            case 1:
                agent.Slow(_dice.Between(50, 900) * World.Ms, _dice.Between(300, 4000) * World.Ms);
                break;
            case 2:
                agent.Reconnect(_dice.Between(10, 800) * World.Ms);
                break;
            case 3 when _dice.Percent(50):
                agent.EndSession();
                break;
            case 4:
                agent.Suspend(_dice.Between(100, 5000) * World.Ms);
                break;
            case 5:
                foreach (Agent each in _agents)
                {
                    each.Slow(_dice.Between(50, 400) * World.Ms, _dice.Between(300, 2000) * World.Ms);
                }

                break;
        }
    }
}
