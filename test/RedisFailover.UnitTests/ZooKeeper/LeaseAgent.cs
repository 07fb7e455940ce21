using RedisFailover.UnitTests.Simulation;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>
/// A process of the <see cref="LeaseSimulation"/>: beats, watches the leader's heartbeat, stands, ends leadership; by a clock of its own.
/// </summary>
internal sealed class Agent
{
    private readonly LeaseSimulation _world;
    private readonly Dice _dice;
    private readonly Clock _clock;
    private readonly LeaseLength _length;
    private readonly Queue<Action> _held = new();
    private SentBeats _beats;
    private long _pausedUntil;
    private Lease? _won;
    private long _slowUntil;
    private long _slow;
    private long _upArrival;
    private long _downArrival;
    private int _connection;
    private int _life;
    private int? _term;
    private bool _isCutOff;
    private bool _reads;
    private bool _dirty;
    private int _readTerm = -1;
    private (string Heart, int Version, TimeSpan Length, long SeenAt)? _seen;
    private readonly Dictionary<string, TimeSpan> _firstLength = new(StringComparer.Ordinal);

    internal Agent(LeaseSimulation world, int number, Dice dice)
    {
        (_world, Number, _dice) = (world, number, dice);
        Rate = 0.9 + (dice.Next(201) / 1000.0);
        _clock = new Clock(world.World, Rate);
        _length = new LeaseLength(TimeSpan.FromMilliseconds(500));
        _beats = new SentBeats(_clock);
    }

    internal int Number { get; }

    internal double Rate { get; }

    internal string Name => $"a{Number}";

    internal string Heart { get; private set; } = "";

    internal Lease? Lease { get; private set; }

    private TimeSpan Now => TimeSpan.FromTicks(_clock.GetTimestamp());

    private TimeSpan Longest
        => _world.Has(LeaseFault.LongerThanTheSession) ? TimeSpan.FromSeconds(10) : TimeSpan.FromTicks(LeaseSimulation.SessionTimeout / 2);

    internal void Start() => NewSession();

    /// <summary>What it is told waits until it goes on; its clock does not.</summary>
    internal void Pause(long length)
    {
        _pausedUntil = Math.Max(_pausedUntil, _world.World.Now + length);
        _world.World.At(_pausedUntil, () =>
        {
            while (_world.World.Now >= _pausedUntil && _held.TryDequeue(out Action? next))
            {
                next();
            }
        });
    }

    /// <summary>The machine sleeps: paused, and only the wall clock goes on.</summary>
    internal void Suspend(long length)
    {
        if (_world.World.Now >= _clock.AwakeAt)
        {
            _clock.Sleep(length);
            Pause(length);
        }
    }

    internal void Slow(long by, long length) => (_slow, _slowUntil) = (by, _world.World.Now + length);

    internal void Reconnect(long after)
    {
        _connection++;
        (_reads, _dirty) = (false, true);
        int connection = _connection;
        _world.World.At(_world.World.Now + after, () => Do(() =>
        {
            if (connection == _connection)
            {
                _seen = _seen is { } seen ? seen with { SeenAt = _clock.GetTimestamp() } : null;
                Look();
            }
        }));
    }

    /// <summary>The ensemble ends the session long after it has last heard of it; here, of a process that is cut off for so long.</summary>
    internal void EndSession()
    {
        string heart = Heart;
        int life = _life;
        _connection++;
        _isCutOff = true;
        _world.World.At(_world.World.Now + LeaseSimulation.SessionTimeout, () =>
        {
            _world.Expire(heart);
            _world.World.At(_world.World.Now + _dice.Between(10, 2000) * World.Ms, () => Do(() =>
            {
                if (life == _life)
                {
                    EndLead();
                    NewSession();
                }
            }));
        });
    }

    /// <summary>A watch's event: the term (null), or a heartbeat.</summary>
    internal void Hear(string? heart)
    {
        if (heart is not null && heart != _world.Holder?.Heart && heart != _seen?.Heart)
        {
            return;
        }

        Down(Look);
    }

    private void NewSession()
    {
        _life++;
        _connection++;
        _isCutOff = false;
        Heart = $"{Name}-{_life}";
        _beats = new SentBeats(_clock);
        (_term, Lease, _won, _seen, _reads, _dirty) = (null, null, null, null, false, false);
        _world.Hearts[Heart] = (0, _length.At(Now, Longest * 2));
        int life = _life;
        Every(life);
        Publish(life);
        Look();
    }

    private void Every(int life)
    {
        After(LeaseRules.BeatEvery(Length()), () =>
        {
            if (life == _life)
            {
                SendBeat();
                Every(life);
            }
        });
    }

    /// <summary>A leader writes other things too.</summary>
    private void Publish(int life)
    {
        After(TimeSpan.FromMilliseconds(90), () =>
        {
            if (life != _life)
            {
                return;
            }

            Publish(life);
            if (_term is { } term && Lease is { } lease)
            {
                Moment sent = Moment.Now(_clock);
                Up(() => _world.Term == term, done =>
                {
                    if (done && _world.Has(LeaseFault.PublicationRenews))
                    {
                        lease.Renew(sent, Length());
                    }
                });
            }
        });
    }

    private TimeSpan Length() => _length.At(Now, Longest * 2);

    private void SendBeat()
    {
        if (_beats.Awaited > 8)
        {
            return;
        }

        Beat beat = _beats.Send(Length());
        if (!_world.Has(LeaseFault.ShorterFromTheAnswer))
        {
            Lease?.Limit(beat.SentAt, beat.Length);
        }

        Lease? lease = Lease;
        int? term = lease is null ? null : _term;
        string heart = Heart;
        Up(() => _world.Beat(heart, beat.Length, term), version =>
        {
            _length.Wrote(_clock.GetElapsedTime(beat.SentAt.Monotonic), Now);
            if (version is null)
            {
                _beats.Refuse(beat);
                EndLead(lease);
                return;
            }

            _beats.Acknowledge(beat);
            if (lease is not null && term == _term)
            {
                Renew(lease, beat);
            }
        }, () => SentBeats.Lose(beat));
    }

    private void Renew(Lease lease, Beat beat)
    {
        TimeSpan length = _world.Has(LeaseFault.ShorterFromTheAnswer) ? beat.Length : _beats.Bounded(beat);
        lease.Renew(_world.Has(LeaseFault.FromTheAnswer) ? Moment.Now(_clock) : beat.SentAt, length);
    }

    /// <summary>Reads the term and the leader's heartbeat; one reading at a time.</summary>
    private void Look()
    {
        _dirty = true;
        if (_reads)
        {
            return;
        }

        (_reads, _dirty) = (true, false);
        Up(() => (_world.Term, _world.Holder, Seen: LeadersHeart()), read =>
        {
            _reads = false;
            (int term, (int Agent, string Heart)? holder, (int Version, TimeSpan Length) heart) = read;
            _readTerm = term;
            if (holder is not { } leader)
            {
                _seen = null;
                Stand(null);
            }
            else if (leader.Agent != Number || leader.Heart != Heart)
            {
                Note(leader.Heart, heart);
            }
            else if (_term is null)
            {
                // Won with a lost reply, or emptied with a lost request.
                Stand(null);
            }

            if (_dirty)
            {
                Look();
            }
        }, () => _reads = false);
    }

    private (int Version, TimeSpan Length) LeadersHeart()
        => _world.Holder is { } leader && _world.Hearts.TryGetValue(leader.Heart, out (int Version, TimeSpan Length) found)
            ? found : (-1, TimeSpan.Zero);

    private void Note(string heart, (int Version, TimeSpan Length) read)
    {
        if (_term is not null)
        {
            EndLead();
        }

        if (_seen is { } before && before.Heart == heart && before.Version == read.Version)
        {
            return;
        }

        TimeSpan length = read.Version < 0 ? _seen is { } last && last.Heart == heart ? last.Length : Longest : read.Length;
        if (_world.Has(LeaseFault.LengthStandsElsewhere))
        {
            _firstLength.TryAdd(heart, length);
            length = _firstLength[heart];
        }

        if (_world.Has(LeaseFault.LongerThanTheSession) && read.Version < 0)
        {
            length = TimeSpan.Zero;
        }

        _seen = (heart, read.Version, length, _clock.GetTimestamp());
        Await(_seen.Value);
    }

    private void Await((string Heart, int Version, TimeSpan Length, long SeenAt) seen)
    {
        TimeSpan patience = _world.Has(LeaseFault.TooSoon) ? seen.Length * 1.1 : LeaseRules.SilentAfter(seen.Length);
        TimeSpan left = patience - _clock.GetElapsedTime(seen.SeenAt);
        After(left > TimeSpan.Zero ? left : TimeSpan.Zero, () =>
        {
            if (_seen is not { } now || now.Heart != seen.Heart || now.Version != seen.Version || _term is not null)
            {
                return;
            }

            if (_clock.GetElapsedTime(now.SeenAt) < patience)
            {
                Await(now);
                return;
            }

            Stand((now.Heart, now.Version));
        });
    }

    private void Stand((string Heart, int Version)? silent)
    {
        Beat beat = _beats.Send(Length());
        Lease?.Limit(beat.SentAt, beat.Length);
        int term = _readTerm;
        Up(() => _world.Stand(this, term, silent, beat.Length), won =>
        {
            if (won is not { } mine)
            {
                _beats.Refuse(beat);
                After(TimeSpan.FromMilliseconds(5), Look);
                return;
            }

            _beats.Acknowledge(beat);
            _term = mine;
            var lease = new Lease(_clock, () => Longest);
            _won = lease;
            // Whoever campaigned goes on at another time than the reply: beats are sent in between.
            After(TimeSpan.FromMilliseconds(_dice.Percent(80) ? 0 : _dice.Next(1000)), () =>
            {
                if (_won == lease)
                {
                    Lease = lease;
                    Renew(lease, beat);
                }
            });
        }, () =>
        {
            SentBeats.Lose(beat);
            Look();
        });
    }

    private void EndLead(Lease? only = null)
    {
        if (Lease is not { } lease || (only is not null && only != lease))
        {
            return;
        }

        lease.End();
        int? term = _term;
        (Lease, _term) = (null, null);
        if (term is { } mine)
        {
            Up(() =>
            {
                _world.Empty(mine);
                return true;
            }, _ => { });
        }

        Look();
    }

    /// <summary>To the ensemble and back, in order; what a reconnect cuts off may have been carried out.</summary>
    private void Up<T>(Func<T> run, Action<T> answered, Action? lost = null)
    {
        if (_isCutOff)
        {
            return;
        }

        int connection = _connection;
        _upArrival = Math.Max(_upArrival, _world.World.Now + Delay());
        _world.World.At(_upArrival, () =>
        {
            if (connection != _connection && _dice.Percent(50))
            {
                Do(() => lost?.Invoke());
                return;
            }

            T result = run();
            Down(() =>
            {
                if (connection == _connection)
                {
                    answered(result);
                }
                else
                {
                    lost?.Invoke();
                }
            });
        });
    }

    private void Down(Action what)
    {
        _downArrival = Math.Max(_downArrival, _world.World.Now + Delay());
        _world.World.At(_downArrival, () => Do(what));
    }

    private long Delay()
        => _dice.Between(World.Ms / 10, 3 * World.Ms) + (_world.World.Now < _slowUntil ? _dice.Between(_slow / 2, _slow) : 0);

    private void After(TimeSpan mine, Action what) => _world.World.At(_world.World.Now + 10 + (long)(mine.Ticks / Rate), () => Do(what));

    private void Do(Action what)
    {
        if (_world.World.Now < _pausedUntil)
        {
            _held.Enqueue(what);
        }
        else
        {
            what();
        }
    }

    private sealed class Clock(World world, double rate) : TimeProvider
    {
        private static readonly DateTimeOffset Beginning = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        private long _slept;

        internal long AwakeAt { get; private set; }

        internal void Sleep(long length) => (_slept, AwakeAt) = (_slept + length, world.Now + length);

        public override long GetTimestamp() => 1 + (long)((world.Now - _slept + Math.Max(0, AwakeAt - world.Now)) * rate);

        public override DateTimeOffset GetUtcNow() => Beginning.AddTicks((long)(world.Now * rate));
    }
}
